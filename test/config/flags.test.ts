import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type Config, type ConfigSources } from '../../src/config/config.ts';
import { parseInstant } from '../../src/kernel/instant.ts';
import { openStage, type Stage } from '../support/shell.ts';

const YAML = `
budget: {maxCalls: 1, maxMinutes: 1}
schedule: {cron: '1 1 * * *', timeZone: UTC}
tables: {Logs: {schedule: {cron: '2 2 * * *', timeZone: Asia/Tokyo}}}
tenants:
  - {id: a, apiKey: {env: A}}
  - {id: b, apiKey: {env: B}, maxCalls: 2, maxMinutes: 2, schedule: {cron: '3 3 * * *', timeZone: Europe/Oslo}}`;

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
  await stage.write('insights.yaml', YAML);
});
afterEach(() => stage[Symbol.asyncDispose]());

const load = (sources: Partial<ConfigSources> = {}): Config => loadConfig({ env: {}, cwd: stage.folder, ...sources });

describe("a flag overrides the tenants' and tables' own settings", () => {
  const settings = (config: Config): unknown[][] =>
    config.tenants.map(({ maxCalls, maxMinutes, tables }) => {
      const { cron, timeZone } = tables.get('Logs')?.schedule ?? {};
      return [maxCalls, maxMinutes, cron, timeZone];
    });
  const OWN = [
    [1, 1, '2 2 * * *', 'Asia/Tokyo'],
    [2, 2, '3 3 * * *', 'Europe/Oslo'],
  ];

  it.each([
    ['--max-calls', 'budget', 'maxCalls', 9],
    ['--max-minutes', 'budget', 'maxMinutes', 9],
    ['--cron', 'schedule', 'cron', '9 9 * * *'],
    ['--time-zone', 'schedule', 'timeZone', 'Europe/Paris'],
  ])('%s', (flag, section, key, value) => {
    expect(settings(load())).toEqual(OWN);
    const flags = { values: { [section]: { [key]: value } }, names: { [`${section}.${key}`]: flag } };
    const column = ['maxCalls', 'maxMinutes', 'cron', 'timeZone'].indexOf(key);
    expect(settings(load({ flags }))).toEqual(OWN.map((row) => row.with(column, value)));
  });

  it('whichever settings they are', async () => {
    const own = { id: 'a', apiKey: { env: 'A' }, baseUrl: 'https://own.example', callsPerMinute: 2, inFlight: 2, settleMinutes: 2, depthDays: 2, rotationDays: 2, start: '2020-02-02', page: { maxRows: 2 }, http: { attempts: 2 }, deletes: { minRows: 2 }, landing: { keep: false } }; // oxfmt-ignore
    await stage.write('insights.yaml', JSON.stringify({ tenants: [own] }));
    const values = { baseUrl: 'https://flag.example', callsPerMinute: 9, inFlight: 9, settleMinutes: 9, reconcile: { depthDays: 9, rotationDays: 9 }, start: '2029-09-09', page: { maxRows: 9 }, http: { attempts: 9 }, deletes: { minRows: 9 }, landing: { keep: true } }; // oxfmt-ignore
    const keys = ['baseUrl', 'callsPerMinute', 'inFlight', 'settleMinutes', 'reconcile.depthDays', 'reconcile.rotationDays', 'start', 'page.maxRows', 'http.attempts', 'deletes.minRows', 'landing.keep']; // oxfmt-ignore
    const [tenant] = load({ flags: { values, names: Object.fromEntries(keys.map((key) => [key, '--x'])) } }).tenants;
    expect(tenant).toMatchObject({
      baseUrl: undefined,
      callsPerMinute: 9,
      http: { attempts: 9 },
      guards: { deletes: { minRows: 9 } },
    });
    expect(tenant?.tables.get('Events')).toMatchObject({ inFlight: 9, settleMinutes: 9, depthDays: 9, rotationDays: 9, start: parseInstant('2029-09-09'), page: { maxRows: 9 }, keepsAnswers: true }); // oxfmt-ignore
  });

  it('the environment does not', () => {
    expect(settings(load({ env: { INSIGHTS_BUDGET_MAX_CALLS: '9', INSIGHTS_SCHEDULE_CRON: '9 9 * * *' } }))).toEqual([
      [9, 1, '2 2 * * *', 'Asia/Tokyo'],
      [2, 2, '3 3 * * *', 'Europe/Oslo'],
    ]);
  });
});
