/** Values that the lake has never seen are refused with the known ones, and so is a range that ends before it begins. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { openStage, type Stage } from '../support/shell.ts';
import { openLake, type Happening, type Lake } from './kpi/support/lake.ts';

let lake: Lake;
let stage: Stage;
beforeAll(async () => {
  const installed = (tenant: string, id: string, passType: string): Happening => ({
    table: 'events', tenant, id, time: '2026-03-01T08:00:00Z', type: 'Pass:Installed',
    properties: JSON.stringify({ passId: id, passType, device: 'Apple' }),
  }); // oxfmt-ignore
  lake = await openLake({
    happenings: [installed('acme', 'a', 'loyalty'), installed('nordlys', 'b', 'gift')],
    metrics: [{ tenant: 'acme', time: '2026-03-01T09:00:00Z', type: 'passes.installed', value: '{"samsung":1}', properties: '{"passType":"coupon"}' }],
    coverage: ['acme', 'nordlys'].map((tenant) => ({ tenant, table: 'events', from: '2026-03-01', to: '2026-03-02', state: 'verified' })),
  }); // oxfmt-ignore
  stage = await openStage();
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await lake[Symbol.asyncDispose]();
});

const run = (...words: string[]): ReturnType<Stage['run']> => stage.run([...words, '--data-dir', lake.folder]);

describe('a filter value that the lake has never seen', () => {
  it.each([
    ['platform=ios', 'The lake has no platform "ios".', 'Known: apple, google, (unknown), samsung.'],
    ['platform=Apple', 'The lake has no platform "Apple".', 'Did you mean "apple"? Known: apple,'],
    ['pass_type=nope', 'The lake has no pass type "nope".', 'Known: coupon, gift, loyalty.'],
    ['tenant=nosuch', 'The lake has no tenant "nosuch".', 'Known: acme, nordlys.'],
    ['tenant=acne', 'The lake has no tenant "acne".', 'Did you mean "acme"? Known: acme, nordlys.'],
  ])('%s is refused by a report', async (word, message, hint) => {
    const { code, out, err } = await run('query', 'active_passes', '--param', word);
    expect({ code, out }).toEqual({ code: EXIT.config, out: '' });
    expect(err).toContain(`error: ${message}\nwhere: flag --param\nnext:  ${hint}`);
  });

  it('is one of another tenant, too', async () => {
    const { err } = await run('query', 'active_passes', '--param', 'tenant=acme', 'pass_type=gift');
    expect(err).toContain('error: The lake has no pass type "gift" of tenant "acme".');
    expect(err).toContain('next:  Known: coupon, loyalty.');
  });

  it('is refused by a chart, by a file and by an exported report, which is not written', async () => {
    const file = join(stage.folder, 'none.csv');
    for (const words of [
      ['query', 'churn', '--param', 'tenant=nosuch', '--chart'],
      ['query', 'churn', '--param', 'tenant=nosuch', '--out', file],
      ['export', '--report', 'churn', '--tenant', 'nosuch', '--out', file],
    ]) {
      const { code, err } = await run(...words);
      expect({ words, code }).toEqual({ words, code: EXIT.config });
      expect(err).toContain('error: The lake has no tenant "nosuch".');
    }
    expect(await readdir(stage.folder)).toEqual([]);
  });

  it('is refused by the checks', async () => {
    const { code, out, err } = await run('check', '--tenant', 'nosuch');
    expect({ code, out }).toEqual({ code: EXIT.config, out: '' });
    expect(err).toContain(
      'error: The lake has no tenant "nosuch".\nwhere: flag --tenant\nnext:  Known: acme, nordlys.',
    );
  });
});

describe('a filter value that is known', () => {
  it.each(['platform=apple', 'platform=google', 'platform=(unknown)', 'platform=samsung', 'pass_type=coupon', 'tenant=nordlys'])(
    '%s gives a result',
    async (word) => {
      const { code, err } = await run('query', 'active_passes', '--param', word, '--format', 'csv');
      expect({ code, err }).toEqual({ code: EXIT.ok, err: '' });
    },
  ); // oxfmt-ignore
});

describe('a range', () => {
  it.each([
    ['from=2026-03-02', 'to=2026-03-01'],
    ['from=2026-03-02', 'to=2026-03-02'],
  ])('%s %s is empty and refused', async (from, to) => {
    const { code, err } = await run('query', 'active_passes', '--param', from, to);
    expect(code).toBe(EXIT.config);
    expect(err).toContain(`error: The range is empty: ${from} is not before ${to}.\nwhere: flag --param from, --param to\nnext:  from is inclusive`);
  }); // oxfmt-ignore
});
