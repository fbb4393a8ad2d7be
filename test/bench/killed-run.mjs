/** A run that ends itself with SIGKILL at its nth step, a file operation or a ledger transaction; the child of crash.mjs. */
import * as system from 'node:fs/promises';
import { pino } from 'pino';
import { loadConfig, runPipeline, systemRuntime } from './modules.mjs';

const at = Number(process.argv[2]);
let steps = 0;
const step = () => {
  if (++steps === at) process.kill(process.pid, 'SIGKILL');
};
const watched = (target) =>
  new Proxy(target, {
    get(object, name) {
      const member = Reflect.get(object, name, object);
      if (typeof member !== 'function') return member;
      return async (...given) => {
        const result = await Reflect.apply(member, object, given);
        step();
        return name === 'open' ? watched(result) : result;
      };
    },
  });
const runtime = { ...systemRuntime(pino({ level: 'silent' })), files: watched({ ...system }), onCommit: step };
const config = loadConfig({ file: false, env: process.env, cwd: process.cwd(), flags: { values: {}, names: {} } });
const report = await runPipeline(config, {}, runtime, new AbortController().signal);
console.log(JSON.stringify({ steps }));
process.exitCode = report.exitCode;
