import { describe, expect, it } from 'vitest';
import { reportError } from '../../src/commands/session.ts';
import { EXIT, LockedError } from '../../src/kernel/errors.ts';
import type { Verbosity } from '../../src/output/log-options.ts';
import { Collector, openStage } from '../support/shell.ts';

function reported(error: unknown, options: Verbosity = {}): { code: number; err: string } {
  const [stdout, stderr] = [new Collector(), new Collector(options.logFormat === undefined)];
  const code = reportError({ stdout, stderr }, error, options);
  return { code, err: stderr.text };
}

describe('the report of an error', () => {
  it('has one line each for what, where and next', () => {
    const error = new LockedError('Held.', { hint: 'Wait.', where: { process: 12, file: '/x' } });
    expect(reported(error)).toEqual({
      code: EXIT.locked,
      err: 'error: Held.\nwhere: process 12, file /x\nnext:  Wait.\n',
    });
  });

  it('is the last line of the log where the log is JSON', () => {
    const error = new LockedError('Held.', { hint: 'Wait.', where: { process: 12 } });
    const { err } = reported(error, { logFormat: 'json', quiet: true });
    expect(err).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(err)).toMatchObject({
      level: 50, event: 'error', msg: 'Held.', failure: 'locked', exitCode: EXIT.locked, where: { process: 12 }, hint: 'Wait.',
    }); // oxfmt-ignore
  });

  it('an unexpected error shows its class and, with --verbose, its stack frames, but no message, which may quote a row', () => {
    const error = new TypeError('cannot read "secret row content"');
    for (const verbose of [false, true]) {
      const { code, err } = reported(error, { verbose });
      expect(code).toBe(EXIT.unexpected);
      expect(err).toContain('error: Unexpected TypeError.\n');
      expect(err.includes('errors.test.ts')).toBe(verbose);
      expect(err).not.toContain('secret row content');
    }
  });

  it('a full disk is reported as a disk failure, wherever it occurs', () => {
    const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      path: '/data/x',
    });
    const { code, err } = reported(error);
    expect(code).toBe(EXIT.disk);
    expect(err).toBe(
      'error: The local disk failed (ENOSPC).\nwhere: file /data/x\n' +
        'next:  Check free space, owner and permissions of the data directory, then run again. Nothing half-written was\n  published.\n',
    );
  });
});

describe('run --exit-zero', () => {
  it('ends with 0 instead of a code after which the next run continues, and accepts no other code', async () => {
    await using stage = await openStage();
    const clock = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
    const file = { quiet: { hours: [`${clock(-6)}-${clock(6)}`] }, tenants: [{ id: 'a', apiKey: { env: 'KEY' } }] };
    await stage.write('insights.json', JSON.stringify(file));
    const run = async (...argv: string[]) => stage.run(['run', ...argv], { KEY: 'k' });
    expect((await run()).code).toBe(EXIT.budget);
    const { code, err } = await run('--exit-zero', '5,11,13');
    expect([code, err]).toEqual([EXIT.ok, expect.stringContaining('the budget ended')]);
    expect((await run('--exit-zero', '5,11')).code).toBe(EXIT.budget);
    for (const codes of ['3', '5,x', '']) expect((await run('--exit-zero', codes)).code).toBe(EXIT.config);
  });
});
