/** The dead man's switch with a real receiver: which address is called for which end of a run. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { pino } from 'pino';
import { EXIT } from '../../src/kernel/errors.ts';
import { systemRuntime, type Runtime } from '../../src/kernel/runtime.ts';
import { pingsOf, pingStart } from '../../src/operate/ping.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';
import { Collector } from '../support/shell.ts';

let receiver: Receiver;
let log: Collector;
let runtime: Runtime;
beforeEach(async () => {
  receiver = await startReceiver();
  log = new Collector();
  runtime = { ...systemRuntime(pino({ base: null }, log)), sleep: async () => {} };
});
afterEach(() => receiver[Symbol.asyncDispose]());

const paths = (): string[] => receiver.received.splice(0).map(({ path }) => path);

/** A run that ends with this code; the addresses that were called. */
async function run(exitCode: number, signal = new AbortController().signal): Promise<string[]> {
  await pingStart(pingsOf({ url: `${receiver.url}/key?create=1` }), runtime, signal).end(exitCode, undefined);
  return paths();
}

it('a run calls /start, then the address itself if it succeeded or left work for the next run, and /fail otherwise', async () => {
  const [start, success, failure] = ['/key/start?create=1', '/key?create=1', '/key/fail?create=1'];
  for (const code of [EXIT.ok, EXIT.partial, EXIT.budget]) expect(await run(code)).toEqual([start, success]);
  for (const code of [EXIT.unexpected, EXIT.config, EXIT.auth, EXIT.source, EXIT.newerState, EXIT.massLoss, EXIT.damaged, EXIT.disk, EXIT.expired])
    expect(await run(code)).toEqual([start, failure]); // oxfmt-ignore
  // The process that holds the data directory reports itself; a run that was stopped did neither.
  for (const code of [EXIT.locked, EXIT.stopped]) expect(await run(code)).toEqual([start]);
});

it('each address can be another one, and those that are not given are not called', async () => {
  const own = pingsOf({ success: `${receiver.url}/up?status=up` });
  await pingStart(own, runtime, new AbortController().signal).end(EXIT.ok, undefined);
  await pingStart(own, runtime, new AbortController().signal).end(EXIT.source, undefined);
  expect(paths()).toEqual(['/up?status=up']);
});

it('a service that is down is tried again, then logged without its address, and the run goes on', async () => {
  receiver.answers.push(200, 503, 503);
  expect(await run(EXIT.ok)).toHaveLength(4);
  receiver.answers.push(500, 500, 500, 500, 500, 500, 500);
  expect(await run(EXIT.ok)).toHaveLength(7);
  expect(log.text).toContain('"event":"ping.failed","kind":"start","reason":"status 500"');
  expect(log.text).toContain('"event":"ping.failed","kind":"success"');
  expect(log.text).not.toContain('/key');
});

it('the end of a run that finished as a stop signal came is still reported, in one attempt', async () => {
  receiver.answers.push(200, 500);
  expect(await run(EXIT.ok, AbortSignal.abort())).toEqual(['/key/start?create=1', '/key?create=1']);
});
