import { describe, expect, it } from 'vitest';
import { reportError } from '../../src/commands/shell.ts';
import { EXIT, LockedError } from '../../src/kernel/errors.ts';
import type { Verbosity } from '../../src/output/log.ts';
import { Collector } from '../support/shell.ts';

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
    }); // prettier-ignore
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
        'next:  Check free space, owner and permissions of the data directory, then run again. Nothing half-written was published.\n',
    );
  });
});
