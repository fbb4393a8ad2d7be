import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type Config, type ConfigSources } from '../../src/config/config.ts';
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

  it('the environment does not', () => {
    expect(settings(load({ env: { INSIGHTS_BUDGET_MAX_CALLS: '9', INSIGHTS_SCHEDULE_CRON: '9 9 * * *' } }))).toEqual([
      [9, 1, '2 2 * * *', 'Asia/Tokyo'],
      [2, 2, '3 3 * * *', 'Europe/Oslo'],
    ]);
  });
});
