/** `init`: a first configuration from flags or answers, checked at once. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { main } from '../../src/commands/program.ts';
import { loadConfig } from '../../src/config/config.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { Collector, openStage, type Stage } from '../support/shell.ts';
import { CAMPAIGN } from '../support/campaign.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ rows: 300, days: 2, rate: 0, memory: true });
});
afterAll(() => sandbox.close());

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

const written = (name = 'insights.yaml'): Promise<string> => readFile(join(stage.folder, name), 'utf8');

/** Answers each question on a terminal when it appears. `undefined` ends the input. */
async function answer(
  answers: readonly (string | undefined)[],
  argv: readonly string[] = [],
): Promise<{ code: number; out: string; asked: string }> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const [stdout, stderr] = [new Collector(), new Collector(true)];
  const rest = [...answers];
  let seen = 0;
  const timer = setInterval(() => {
    // A question ends with ": ".
    if (stderr.text.length === seen || !stripVTControlCharacters(stderr.text).endsWith(': ')) return;
    seen = stderr.text.length;
    const next = rest.shift();
    if (next === undefined) stdin.end();
    else stdin.write(`${next}\n`);
  }, 5);
  const io = {
    stdout,
    stderr,
    stdin,
    env: { NO_COLOR: '1', KEY_DEMO: sandbox.keyOf('demo') },
    cwd: stage.folder,
    onStop: () => () => {},
    exit: () => {},
  };
  const code = await main(['init', ...argv], io);
  clearInterval(timer);
  return { code, out: stdout.text, asked: stderr.text };
}

describe('init from flags', () => {
  it('writes a file with the source of the key, never the key itself, and checks it at once', async () => {
    const argv = ['init', '--tenant', 'demo', '--base-url', sandbox.url, '--key', 'env:KEY_DEMO'];
    const { code, out } = await stage.run(argv, { KEY_DEMO: sandbox.keyOf('demo') });
    expect(code).toBe(EXIT.ok);
    expect(out).toContain('wrote insights.yaml');
    expect(out).toContain('the key gives access to tenant "demo"');
    const text = await written();
    expect(text).not.toContain(sandbox.keyOf('demo'));
    expect(parse(text)).toMatchObject({ tenants: [{ id: 'demo', apiKey: { env: 'KEY_DEMO' } }], baseUrl: sandbox.url });
    expect((await stat(join(stage.folder, 'insights.yaml'))).mode & 0o077).toBe(0);
  });

  it('contains every key as a comment with its default: uncommenting them changes nothing', async () => {
    await stage.run(['init', '--tenant', 'demo', '--no-doctor', '--time-zone', 'Europe/Paris']);
    const before = loadConfig({ env: {}, cwd: stage.folder });
    const text = await written();
    // Keys with a value, and the groups around them; a group without any value would be no object.
    const lines = text.split('\n').map((line) => line.replace(/^# ( *\w+:( \S.*)?)$/, '$1'));
    const valued = lines.filter((line) => !/^ +\w+: #|^\w+: #/.test(line));
    const whole = valued.filter((line, index) => {
      const deeper = /^( *)\w+:$/.exec(line);
      if (!deeper) return true;
      const next = valued[index + 1] ?? '';
      return (/^ */.exec(next)?.[0].length ?? 0) > (deeper[1]?.length ?? 0);
    });
    expect(whole.filter((line) => /^\s*\w+:/.test(line)).length).toBeGreaterThan(40);
    await stage.write(
      'all.yaml',
      whole.filter((line) => !/^webhook|^ {2}(heartbeat|format|secret)/.test(line)).join('\n'),
    );
    const after = loadConfig({ file: 'all.yaml', env: {}, cwd: stage.folder });
    const plain = (config: object): unknown => JSON.parse(JSON.stringify({ ...config, file: undefined }));
    expect(plain(after)).toEqual(plain(before));
    expect(before.schedule.timeZone).toBe('Europe/Paris');
  });

  it('never replaces an existing file of any default name without --force', async () => {
    await stage.write('insights.json', '{}');
    const refused = await stage.run(['init', '--tenant', 'demo', '--no-doctor']);
    expect([refused.code, refused.err]).toEqual([EXIT.config, expect.stringContaining('insights.json')]);
    await expect(written()).rejects.toThrow('ENOENT');
    const other = ['init', '--tenant', 'demo', '--no-doctor', '--config', 'other.yaml'];
    expect((await stage.run(other)).code).toBe(EXIT.ok);
    expect((await stage.run(other)).code).toBe(EXIT.config);
    expect((await stage.run([...other, '--force', '--start', '2026-01-01'])).code).toBe(EXIT.ok);
    expect(parse(await written('other.yaml'))).toMatchObject({ start: '2026-01-01' });
  });

  it.each([
    [['--tenant', 'a/b'], '--tenant'],
    [['--tenant', 'demo', '--key', 'sk-secret-itself'], '--key'],
    [['--tenant', 'demo', '--time-zone', 'Mars/Base'], '--time-zone'],
    [['--tenant', 'demo', '--base-url', 'http://example.com'], '--base-url'],
    [[], '--tenant'],
  ])('%j is refused, and nothing is written', async (argv, flag) => {
    const { code, err } = await stage.run(['init', '--no-doctor', ...argv]);
    expect(code).toBe(EXIT.config);
    expect(err).toContain(flag);
    expect(err).not.toContain('sk-secret-itself');
    await expect(written()).rejects.toThrow('ENOENT');
  });

  it('keeps the file and returns the exit code when the key does not open the tenant', async () => {
    const argv = ['init', '--tenant', 'demo', '--base-url', sandbox.url, '--key', 'env:WRONG'];
    const { code, out } = await stage.run(argv, { WRONG: 'no-key' });
    expect(code).toBe(EXIT.auth);
    expect(out).toContain('FAIL  credential');
    expect(await written()).toContain('WRONG');
  });
});

describe('init on a terminal', () => {
  it('asks for what the flags leave open, and asks again after an invalid answer', CAMPAIGN, async () => {
    const { code, asked } = await answer(
      ['not a tenant', 'demo', 'the-key-itself', 'env:KEY_DEMO', '2026-10-01', '', 'Europe/Oslo'],
      ['--base-url', sandbox.url],
    );
    expect(code).toBe(EXIT.ok);
    expect(asked.match(/Tenant id, as in the URLs/g)?.length).toBeGreaterThanOrEqual(2);
    expect(asked).toContain('The key itself is never written to the file.');
    expect(parse(await written())).toMatchObject({
      start: '2026-10-01',
      dataDir: './data',
      schedule: { timeZone: 'Europe/Oslo' },
    });
  });

  it('writes nothing when the input ends before the last answer', async () => {
    const { code } = await answer(['demo', undefined], ['--no-doctor']);
    expect(code).toBe(EXIT.stopped);
    await expect(written()).rejects.toThrow('ENOENT');
  });
});
