/** Drills in which the process is killed, started twice, or has a wrong clock or version. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { random } from '../harness.mjs';

const YEAR_MS = 365.25 * 86_400_000;
const CLOCK = pathToFileURL(fileURLToPath(new URL('../../independent/shift.mjs', import.meta.url))).href;
const KILLS = 20;
const NEWER = 999;

const clock = (years) => ({
  name: `clock of this machine ${years > 0 ? '+' : '−'}${Math.abs(years)} years`,
  expected: 0,
  async run(stage) {
    await stage.empty();
    const env = { NODE_OPTIONS: `--import ${CLOCK}`, JUDGE_SHIFT_MS: String(Math.round(years * YEAR_MS)) };
    return stage.run(['run'], { env });
  },
});

async function inLedger(stage, sql) {
  const db = await DuckDBInstance.create(join(stage.dataDir, 'state.duckdb'));
  const connection = await db.connect();
  await connection.run(sql);
  connection.closeSync();
  db.closeSync();
}

export const PROCESS_DRILLS = [
  {
    name: 'two runs at once: the second one',
    expected: 6,
    async run(stage) {
      await stage.empty();
      // One call a minute: the first run holds the lock until it is stopped.
      const slow = stage.run(['run'], {
        env: { INSIGHTS_CALLS_PER_MINUTE: '1' },
        killAfterMs: 20_000,
        signal: 'SIGTERM',
      });
      while (!(await exists(join(stage.dataDir, 'state.duckdb')))) await delay(50);
      await delay(500);
      const second = await stage.run();
      await slow;
      return second;
    },
  },
  {
    name: `${KILLS} kills (SIGKILL) at random moments of a first load`,
    expected: 'SIGKILL',
    async run(stage) {
      await stage.empty();
      const next = random(1);
      let killed = 0;
      let last;
      while (killed < KILLS) {
        const done = await stage.run(['run'], { killAfterMs: 200 + next() * 3000 });
        // A run that was faster than the kill has loaded everything: the next one starts again.
        if (done.killedBy === null) await stage.empty();
        else [killed, last] = [killed + 1, done];
      }
      return { ...last, code: last.killedBy, out: '', err: `error: killed ${killed} times\n` };
    },
  },
  clock(1.5),
  clock(-1.5),
  {
    name: 'data directory of a newer version',
    expected: 7,
    async run(stage) {
      await stage.loaded();
      await inLedger(stage, `insert into migrations values (${NEWER}, now())`);
      return stage.run();
    },
    // As the newer version would read it.
    recover: (stage) => inLedger(stage, `delete from migrations where version = ${NEWER}`),
  },
];

function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}
