/** `plan --simulate`: a forecast without a configuration, a source or a data directory. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { VALUES, workloadOf } from '../../src/commands/simulate.ts';
import { WORKLOAD } from '../../src/model/scale.ts';
import { MOST_SHARDS } from '../../src/model/shard.ts';
import { formatMarkdown } from '../support/markdown.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => void (stage = await openStage()));
afterAll(() => stage[Symbol.asyncDispose]());

describe('plan --simulate', () => {
  it('prints calls, work, sizes and cost', async () => {
    const { code, out } = await stage.run(['plan', '--simulate', 'tenants=100,rowsPerDay=5000,years=5'], {});
    expect(code).toBe(EXIT.ok);
    expect(out).toContain('100 tenants with 5,000 rows a day each, 5 years: 913 million rows in the lake');
    expect(out).toMatch(/a night +600 /);
    expect(out).toMatch(/writes and \$\d/);
  });

  it('says which limit a worker would reach, and how many workers stay below it', async () => {
    const args = 'tenants=10000,rowsPerDay=1000,years=5';
    const { out } = await stage.run(['plan', '--simulate', args], {});
    const [, workers = ''] = /share the tenants among (\d+) workers/.exec(out.replaceAll(/\s+/g, ' ')) ?? [];
    expect(Number(workers)).toBeGreaterThan(1);
    const shared = await stage.run(['plan', '--simulate', `${args},shards=${workers}`], {});
    expect(shared.out).not.toMatch(/^limit:/m);
  });

  it('advises no number of workers that a lake cannot have', async () => {
    const { out } = await stage.run(['plan', '--simulate', 'tenants=1000000,rowsPerDay=1000,years=5'], {});
    expect(out).not.toContain('--shard 0/');
    expect(out.replaceAll(/\s+/g, ' ')).toContain('A lake has at most 1,000 workers.');
  });

  it.each([
    ['0.1', '0.1 rows'],
    ['5.5', '5.5 rows'],
    ['1', '1 row'],
    ['5000.4', '5,000 rows'],
    ['0.0000001', 'less than 0.01 rows'],
  ])('shows %s rows a day as "%s"', async (given, shown) => {
    const { out } = await stage.run(['plan', '--simulate', `rowsPerDay=${given}`], {});
    expect(out).toContain(`1 tenant with ${shown} a day each`);
  });

  it('counts no files without rows', async () => {
    const { out } = await stage.run(['plan', '--simulate', 'rowsPerDay=0.0000001'], {});
    expect(out).toContain('in 0 Parquet files');
  });

  it('prints huge numbers with separators', async () => {
    const { out } = await stage.run(
      ['plan', '--simulate', 'tenants=1000000,rowsPerDay=1000000,years=100,shards=1000'],
      {},
    );
    expect(out).toContain('36,500,000 billion rows in the lake, 1,000 workers');
    expect(out.replaceAll(/\.\d+/g, '')).not.toMatch(/\d{4}/);
  });

  it.each([
    [['--tenant', 'acme'], '--tenant'],
    [['--max-calls', '5', '--deep'], '--deep, --max-calls'],
  ])('refuses %j, which would have no effect', async (flags, named) => {
    const { code, err } = await stage.run(['plan', '--simulate', 'tenants=2', ...flags], {});
    expect([code, err]).toEqual([EXIT.config, expect.stringContaining(`${named} cannot be used with --simulate.`)]);
  });

  it('gives all figures as JSON', async () => {
    const { out } = await stage.run(['plan', '--simulate', 'tenants=2', '--json'], {});
    expect(JSON.parse(out)).toMatchObject({ workload: { ...WORKLOAD, tenants: 2 }, idle: { calls: 6 } });
  });
});

describe('the values', () => {
  it('docs/scale.md lists them with their defaults', async () => {
    const page = await readFile('docs/scale.md', 'utf8');
    const mark = '<!-- values: written by `npx vitest run test/commands/simulate.test.ts -u` -->';
    const [before = '', rest = ''] = page.split(mark);
    const rows = VALUES.keyof().options.map(
      (name) => `| \`${name}\` | ${VALUES.shape[name].description} | ${WORKLOAD[name]} |`,
    );
    const table = ['| value | is | default |', '| --- | --- | --- |', ...rows].join('\n');
    const whole = `${before}${mark}\n\n${table}\n\n${rest.slice(rest.indexOf('<!-- end -->'))}`;
    expect(rows).toHaveLength(Object.keys(WORKLOAD).length);
    await expect(await formatMarkdown(whole)).toMatchFileSnapshot('../../docs/scale.md');
  });

  it.each([
    ['tenant=4', 'Did you mean "tenants"?'],
    ['tenants', 'whole number from 1'],
    ['tenants=1.5', 'whole number from 1'],
    ['tenants=1=2', 'whole number from 1'],
    ['tenants=0', 'whole number from 1'],
    ['years=x', 'number from 0.0027 to 100'],
    ['rowsPerDay=1e5', 'without separators'],
    ['tenants=3,years=5,tenants=3', 'each value once'],
    ['shards=1001', `whole number from 1 to ${MOST_SHARDS}`],
  ])('%s is refused with what is allowed', (text, hint) => {
    expect(() => workloadOf(text)).toThrow(
      expect.objectContaining({ failure: 'config', hint: expect.stringContaining(hint) }),
    );
  });

  it('the least that the hint names is accepted', () => {
    expect(workloadOf('years=0.0027')).toEqual({ ...WORKLOAD, years: 0.0027 });
  });

  it('spaces do not count', () => {
    expect(workloadOf(' tenants = 3 , years=5')).toEqual({ ...WORKLOAD, tenants: 3, years: 5 });
  });
});
