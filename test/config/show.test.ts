/** `config check` and `config show`, and what editors refuse with the JSON Schema. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configJsonSchema, configKeys } from '../../src/config/names.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.write(
    'insights.yaml',
    `callsPerMinute: 20
webhook: {url: 'https://hooks.example.com/path-of-the-hook/secret', secret: {command: echo sesame}}
tables: {Logs: {schedule: {cron: '0 */6 * * *'}}}
tenants:
  - id: a
    apiKey: {env: A_KEY}
    http: {attempts: 3}
    maxCalls: 7
  - {id: b, token: {env: B_KEY}}
`,
  );
});
afterAll(() => stage[Symbol.asyncDispose]());

const setting = z.object({ tenant: z.string().optional(), key: z.string(), value: z.unknown(), from: z.unknown() });

async function shown(argv: readonly string[], env: Record<string, string> = {}): Promise<Map<string, unknown[]>> {
  const { code, out } = await stage.run(['config', 'show', '--json', ...argv], { A_KEY: 'sesame', ...env });
  expect(code).toBe(EXIT.ok);
  expect(out).not.toMatch(/sesame|path-of-the-hook/);
  const settings = z.array(setting).parse(JSON.parse(out));
  return new Map(settings.map(({ tenant = '', key, value, from }) => [`${tenant} ${key}`.trim(), [value, from]]));
}

describe('config show', () => {
  const line = (number: number): object => ({ file: `${stage.folder}/insights.yaml`, line: number });

  it('has every setting in force with its origin, and no secret', async () => {
    const all = await shown(['--data-dir', 'x'], { INSIGHTS_IN_FLIGHT: '2' });
    expect(all.get('callsPerMinute')).toEqual([20, line(1)]);
    expect(all.get('webhook.url')).toEqual(['[hidden]', line(2)]);
    expect(all.get('webhook.secret.command')).toEqual(['[hidden]', line(2)]);
    expect(all.get('tenants[0].apiKey.env')).toEqual(['A_KEY', line(6)]);
    expect(all.get('inFlight')).toEqual([2, { environment: 'INSIGHTS_IN_FLIGHT' }]);
    expect(all.get('dataDir')).toEqual(['x', { flag: '--data-dir' }]);
    expect(all.get('page.maxRows')).toEqual([500_000, 'default']);
  });

  it('shows what applies to a tenant: its own settings, those of a table, or the general ones', async () => {
    const all = await shown(['--tenant', '*']);
    expect(all.get('a http.attempts')).toEqual([3, line(7)]);
    expect(all.get('b http.attempts')).toEqual([8, 'default']);
    expect(all.get('a maxCalls')).toEqual([7, line(8)]);
    expect(all.get('b callsPerMinute')).toEqual([20, line(1)]);
    expect(all.get('b Logs.schedule.cron')).toEqual(['0 */6 * * *', line(3)]);
    const { out } = await stage.run(['config', 'show', '--tenant', 'a', '--changed']);
    expect(out.split('\n').slice(2, 6).map((row) => row.split(/ {2,}/))).toEqual([['tenant a'], ['key', 'value', 'from'], ['callsPerMinute', '20', 'line 1'], ['maxCalls', '7', 'line 8']]); // oxfmt-ignore
  });

  it('shows every setting that a tenant can override', async () => {
    const days = { Logs: 9, Events: 9, Metrics: 9 };
    const own = {
      id: 'all',
      apiKey: { env: 'A_KEY' },
      maxCalls: 9,
      maxMinutes: 9,
      start: '2026-01-01',
      retentionDays: days,
    };
    await stage.write('all.json', JSON.stringify({ tenants: [own] }));
    const all = await shown(['--config', 'all.json', '--tenant', 'all']);
    const overridable = configKeys()
      .filter(({ path: [first, name = ''] }) => first === 'tenants[]' && !['id', 'apiKey', 'token', 'tables'].includes(name))
      .map(({ path: [, name = '', key = ''] }) => ({ name, whole: key === '' ? name : `${name}.${key}`, ofTable: `${key}.${name}` })); // oxfmt-ignore
    expect(overridable.length).toBeGreaterThan(20);
    const missing = overridable.filter(
      ({ name, whole, ofTable }) => ![name, whole, `Events.${whole}`, ofTable].some((key) => all.has(`all ${key}`)),
    );
    expect(missing).toEqual([]);
  });
});

describe('config check', () => {
  it('every mistake is reported at once with its place, also those that only show when others are corrected', async () => {
    const yaml = `inFlight: 0
dataDir: ~/lake
page:
  maxRow: 5
tenants:
  - id: a
    apiKey: {env: A, file: b}
    rate: 3
  - {id: A, token: {env: B}, apiKey: {env: C}, tables: [Logz]}`;
    await stage.write('bad.yaml', yaml);
    const argv = ['config', 'check', '--config', 'bad.yaml'];
    const { code, err } = await stage.run(argv, { INSIGHTS_DATADIR: 'x', INSIGHTS_PAGE_MAX_ROWS: 'many' });
    expect(code).toBe(EXIT.config);
    expect(err).toMatch(
      new RegExp(
        [
          '^error: The configuration has 10 mistakes\\.',
          '  line 1: "inFlight" cannot be 0\\. Allowed: 1 to 32\\.',
          '  line 2: "dataDir" cannot be "~/lake"\\. Allowed: an absolute path such as /home/me/insights: only a shell replaces ~\\.',
          '  line 4: Unknown key "page\\.maxRow"\\. Did you mean "maxRows"\\? .*',
          '  line 7: "tenants\\[0\\]\\.apiKey" cannot be used as given\\. Allowed: exactly one of env, file, command\\.',
          '  line 8: Unknown key "tenants\\[0\\]\\.rate"\\. .*',
          '  line 9: "tenants\\[1\\]\\.tables\\[0\\]" cannot be "Logz"\\. .*',
          '  line 9: "tenants\\[1\\]\\.apiKey" cannot be used as given\\. Allowed: exactly one of apiKey, token\\.',
          '  line 9: "tenants\\[1\\]\\.id" cannot be "A"\\. Allowed: each tenant id only once\\.',
          '  environment INSIGHTS_PAGE_MAX_ROWS: "page\\.maxRows" cannot be "many"\\. Allowed: a number\\.',
          '  environment INSIGHTS_DATADIR: Unknown environment variable INSIGHTS_DATADIR\\. Did you mean INSIGHTS_DATA_DIR\\? .*',
          'where: file .*/bad\\.yaml',
          'next:  Correct them\\. `insights-etl config check` checks the configuration and does nothing else\\.\\n$',
        ].join('\\n'),
      ),
    );
  });

  it('accepts a configuration without touching anything, and refuses a schedule that never comes', async () => {
    const good = await stage.run(['config', 'check']);
    expect([good.code, good.out]).toEqual([
      EXIT.ok,
      expect.stringMatching(/no mistakes; 2 tenants, data directory .*data\n$/),
    ]);
    const never = await stage.run(['config', 'check'], { INSIGHTS_SCHEDULE_CRON: '0 3 30 2 *' });
    expect([never.code, never.err]).toEqual([EXIT.config, expect.stringContaining('no date ever matches it')]);
  });
});

it('a file that is not on this machine is refused with what to use instead', async () => {
  for (const out of ['s3://bucket/x.csv', 'file:///tmp/x.csv', '~/x.csv']) {
    const { code, err } = await stage.run(['query', 'installs', '--out', out]);
    expect([code, err]).toEqual([
      EXIT.config,
      expect.stringMatching(/is not a file of this machine[^]*next: {2}Give a/),
    ]);
  }
});

it('the JSON Schema has the rules that an editor can check', () => {
  const property = (node: unknown, ...path: string[]): unknown =>
    path.reduce<unknown>((found, name) => z.record(z.string(), z.unknown()).parse(found)[name], node);
  const schema = configJsonSchema();
  const tenants = property(schema, 'properties', 'tenants');
  expect(tenants).toMatchObject({ uniqueItems: true, items: { not: { required: ['apiKey', 'token'] } } });
  expect(property(tenants, 'items', 'properties', 'apiKey')).toMatchObject({ minProperties: 1, maxProperties: 1 });
  const schedule = property(schema, 'properties', 'schedule', 'properties');
  const pattern = (name: string): RegExp =>
    new RegExp(z.object({ pattern: z.string() }).parse(property(schedule, name)).pattern);
  const accepted = (name: string, texts: readonly string[]): boolean[] => texts.map((text) => pattern(name).test(text));
  expect(accepted('cron', ['0 3 * * *', '*/15 6-18 1,15 jan-mar MON-FRI', '@daily'])).toEqual([true, true, true]);
  expect(accepted('cron', ['61 3 * * *', '0 24 * * *', '0 3 * *', 'daily', '0 3 * * 8'])).toEqual(Array.from({ length: 5 }, () => false)); // oxfmt-ignore
  expect(accepted('timeZone', ['Europe/Paris', 'UTC', 'Paris time', 'Europe/'])).toEqual([true, true, false, false]);
});
