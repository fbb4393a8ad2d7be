import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type Config, type ConfigSources } from '../../src/config/config.ts';
import { ConfigError } from '../../src/kernel/errors.ts';
import type { TableName } from '../../src/model/tables.ts';
import { parseInstant } from '../../src/kernel/instant.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

function load(sources: Partial<ConfigSources> = {}): Config {
  return loadConfig({ env: {}, cwd: stage.folder, ...sources });
}

async function loadYaml(yaml: string, env: Record<string, string> = {}): Promise<Config> {
  await stage.write('insights.yaml', yaml);
  return load({ env });
}

/** Message, place and next step of a refusal, as the person reads them. */
async function refusal(yaml: string, env: Record<string, string> = {}): Promise<string> {
  try {
    await loadYaml(yaml, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const where = Object.entries(error.where).map(
      ([key, value]) => `${key} ${String(value).replace(stage.folder, '')}`,
    );
    return [error.message, where.join(', '), error.hint].join('\n');
  }
  throw new Error('it was accepted');
}

const KEY = 'k-123456';

describe('one tenant from the environment', () => {
  it('an address, a tenant and a key are enough', async () => {
    const config = load({
      env: { INSIGHTS_BASE_URL: 'https://app-qa.neostore.cloud/', INSIGHTS_TENANT: 'demo', INSIGHTS_API_KEY: KEY },
    });
    expect(config.baseUrl).toBe('https://app-qa.neostore.cloud');
    expect(config.tenants.map(({ id, callsPerMinute }) => ({ id, callsPerMinute }))).toEqual([
      { id: 'demo', callsPerMinute: 60 },
    ]);
    const credential = await config.tenants[0]?.credential();
    expect(credential?.header).toBe('X-API-KEY');
    expect(credential?.value).toBe(KEY);
  });

  it('a token is sent as a bearer token', async () => {
    const config = load({ env: { INSIGHTS_TENANT: 'demo', INSIGHTS_TOKEN: 'eyJ.x.y' } });
    const credential = await config.tenants[0]?.credential();
    expect([credential?.header, credential?.value]).toEqual(['Authorization', 'Bearer eyJ.x.y']);
  });

  it('a tenant without a key is refused, naming the variable', async () => {
    expect(await refusal('', { INSIGHTS_TENANT: 'demo' })).toBe(
      'INSIGHTS_TENANT is set to "demo", but there is no key for it.\n' +
        'environment INSIGHTS_API_KEY\n' +
        'Set INSIGHTS_API_KEY, or INSIGHTS_TOKEN for a bearer token.',
    );
  });

  it('an INSIGHTS_TENANT that the file also lists keeps its overrides', async () => {
    const config = await loadYaml(
      'tenants: [{id: a, apiKey: {env: A}, callsPerMinute: 7}, {id: b, apiKey: {env: B}}]',
      {
        INSIGHTS_TENANT: 'a',
      },
    );
    expect(config.tenants.map(({ id, callsPerMinute }) => [id, callsPerMinute])).toEqual([['a', 7]]);
  });

  it('a key in the environment completes the only tenant of the file', async () => {
    const config = await loadYaml('tenants: [{id: a}]', { INSIGHTS_API_KEY: KEY });
    expect((await config.tenants[0]?.credential())?.value).toBe(KEY);
  });
});

describe('layers', () => {
  it('flags win over the environment, the environment over the file, the file over the defaults', async () => {
    await stage.write('insights.yaml', 'settleMinutes: 1\ninFlight: 2\npage: {maxRows: 10}');
    const config = load({
      env: { INSIGHTS_IN_FLIGHT: '3', INSIGHTS_PAGE_MAX_ROWS: '20' },
      flags: { values: { page: { maxRows: 30 } }, names: { 'page.maxRows': '--rows' } },
    });
    expect([config.settleMinutes, config.inFlight, config.page.maxRows, config.page.maxBytes]).toEqual([
      1, 3, 30, 60_000_000,
    ]);
  });

  it("a tenant's own keys override the general ones, key by key", async () => {
    const config = await loadYaml(`
budget: {maxMinutes: 50}
reconcile: {depthDays: 30}
page: {maxRows: 100}
deletes: {maxShare: 0.1}
http: {attempts: 3}
tables: {Logs: {retentionDays: 40}}
tenants:
  - {id: a, apiKey: {env: A}}
  - id: b
    apiKey: {env: B}
    maxMinutes: 5
    depthDays: 90
    retentionDays: {Logs: 80}
    page: {maxBytes: 10000}
    http: {timeoutSeconds: 9}
    deletes: {minRows: 7}
    quarantine: {maxShare: 0.5}
    landing: {keep: true}`);
    const [a, b] = config.tenants.map(({ tables, maxMinutes, http, guards: { deletes, quarantine } }) => {
      const { depthDays, retentionDays, page, keepsAnswers } = tables.get('Logs') ?? {};
      const waits = [http.attempts, http.timeoutSeconds, maxMinutes];
      return { depthDays, retentionDays, page, keepsAnswers, waits, deletes, quarantine };
    });
    expect(a).toMatchObject({ depthDays: 30, retentionDays: 40, keepsAnswers: false, waits: [3, 300, 50] });
    expect(a).toMatchObject({ page: { maxRows: 100, maxBytes: 60_000_000 }, deletes: { maxShare: 0.1, minRows: 100 } });
    expect(b).toMatchObject({ depthDays: 90, retentionDays: 80, keepsAnswers: true, waits: [3, 9, 5] });
    expect(b).toMatchObject({ page: { maxRows: 100, maxBytes: 10_000 }, deletes: { maxShare: 0.1, minRows: 7 } });
    expect([a?.quarantine.maxShare, b?.quarantine.maxShare]).toEqual([0.2, 0.5]);
  });

  it('a folder in the file is relative to the file, elsewhere to the working directory', async () => {
    expect((await loadYaml('dataDir: lake')).dataDir).toBe(`${stage.folder}/lake`);
    await stage.write('other.json', '{"dataDir": "x"}');
    expect(load({ file: `${stage.folder}/other.json`, cwd: '/' }).dataDir).toBe(`${stage.folder}/x`);
    expect(load({ env: { INSIGHTS_DATA_DIR: 'x' }, cwd: '/tmp', file: false }).dataDir).toBe('/tmp/x');
  });

  it('without a file there are defaults and no tenant', () => {
    const config = load();
    expect(config.tenants).toEqual([]);
    expect(config.dataDir).toBe(`${stage.folder}/data`);
    expect(config.engine.threads).toBeGreaterThan(0);
  });

  it('the configuration is frozen', () => {
    expect(Object.isFrozen(load())).toBe(true);
    expect(Object.isFrozen(load().page)).toBe(true);
  });

  it('tables are the enabled ones, Logs first, with start, retention and dropped keys applied', async () => {
    const config = await loadYaml(`
start: 2026-01-01
tables:
  Events: {start: 2026-02-01}
  Metrics: {enabled: false}
  Logs: {retentionDays: 30}
privacy: {drop: {Events: [userAgent]}}
tenants:
  - {id: a, apiKey: {env: A}}
  - {id: b, apiKey: {env: B}, start: 2026-03-01, tables: [Events]}
`);
    const [a, b] = config.tenants;
    expect([...(a?.tables.keys() ?? [])]).toEqual(['Logs', 'Events']);
    expect(a?.tables.get('Logs')).toMatchObject({ start: parseInstant('2026-01-01'), retentionDays: 30, drop: [] });
    expect(a?.tables.get('Events')).toMatchObject({
      start: parseInstant('2026-02-01'),
      retentionDays: undefined,
      drop: [{ types: undefined, keys: ['userAgent'] }],
    });
    expect([...(b?.tables.keys() ?? [])]).toEqual(['Events']);
    expect(b?.tables.get('Events')?.start).toBe(parseInstant('2026-03-01'));
  });

  it("a tenant's schedule overrides a table's, and a table's overrides the general one, key by key", async () => {
    const config = await loadYaml(`
schedule: {cron: '0 3 * * *', timeZone: Europe/Paris}
tables:
  Logs: {schedule: {cron: '0 */6 * * *'}}
tenants:
  - {id: a, apiKey: {env: A}}
  - {id: b, apiKey: {env: B}, schedule: {timeZone: Asia/Tokyo}}
`);
    const scheduleOf = (index: number, table: TableName): unknown => config.tenants[index]?.tables.get(table)?.schedule;
    expect(scheduleOf(0, 'Events')).toEqual({ cron: '0 3 * * *', timeZone: 'Europe/Paris' });
    expect(scheduleOf(0, 'Logs')).toEqual({ cron: '0 */6 * * *', timeZone: 'Europe/Paris' });
    expect(scheduleOf(1, 'Logs')).toEqual({ cron: '0 */6 * * *', timeZone: 'Asia/Tokyo' });
  });
});

describe('a refused value is reported with key, value, what is allowed and where it was written', () => {
  it.each([
    {
      name: 'an unknown key, with a suggestion',
      yaml: 'page:\n  maxRow: 5',
      text: 'Unknown key "page.maxRow".\nfile /insights.yaml, line 2\nDid you mean "maxRows"? Allowed here: maxRows, maxBytes.',
    },
    {
      name: 'an unknown key of a tenant',
      yaml: 'tenants:\n  - id: a\n    apiKey: {env: A}\n    rate: 5',
      text: 'Unknown key "tenants[0].rate".\nfile /insights.yaml, line 4\nAllowed here: id, apiKey, token, baseUrl, callsPerMinute, inFlight, settleMinutes, maxCalls, maxMinutes, depthDays, rotationDays, retentionDays, page, http, deletes, quarantine, landing, quiet, start, tables, schedule.',
    },
    {
      name: 'a bad date',
      yaml: 'start: 2026-13-01',
      text: '"start" cannot be "2026-13-01".\nfile /insights.yaml, line 1\nAllowed: an ISO date or instant such as 2026-01-31.',
    },
    {
      name: 'a number outside its bounds',
      yaml: '# rows\npage: {maxRows: 0}',
      text: '"page.maxRows" cannot be 0.\nfile /insights.yaml, line 2\nAllowed: 1 to 500000.',
    },
    {
      name: 'a text where a number belongs',
      yaml: 'settleMinutes: soon',
      text: '"settleMinutes" cannot be "soon".\nfile /insights.yaml, line 1\nAllowed: a number.',
    },
    {
      name: 'an unknown table',
      yaml: 'tenants: [{id: a, apiKey: {env: A}, tables: [Log]}]',
      text: '"tenants[0].tables[0]" cannot be "Log".\nfile /insights.yaml, line 1\nDid you mean "Logs"? Allowed: one of Logs, Events, Metrics.',
    },
    {
      name: 'http to another machine',
      yaml: 'baseUrl: http://example.com',
      text: '"baseUrl" cannot be "http://example.com".\nfile /insights.yaml, line 1\nAllowed: https (plain http only for a service on this machine).',
    },
    {
      name: 'an address that is not a URL',
      yaml: 'baseUrl: example.com',
      text: '"baseUrl" cannot be "example.com".\nfile /insights.yaml, line 1\nAllowed: an https URL such as https://app.neostore.cloud.',
    },
    {
      name: 'no call limit against a real service',
      yaml: 'callsPerMinute: 0',
      text: '"callsPerMinute" cannot be 0.\nfile /insights.yaml, line 1\nAllowed: 1 or more (0 = no limit, only for a service on this machine).',
    },
    {
      name: 'a tenant twice',
      yaml: 'tenants:\n  - {id: a, apiKey: {env: A}}\n  - {id: A, apiKey: {env: B}}',
      text: '"tenants[1].id" cannot be "A".\nfile /insights.yaml, line 3\nAllowed: each tenant id only once.',
    },
    {
      name: 'a tenant id that is not a path segment',
      yaml: 'tenants: [{id: ../x, apiKey: {env: A}}]',
      text: `"tenants[0].id" cannot be "../x".\nfile /insights.yaml, line 1\nAllowed: at most 128 letters, digits, '.', '_' and '-', as in the URLs of the service.`,
    },
    {
      name: 'a tenant without a credential',
      yaml: 'tenants: [{id: a}]',
      text: '"tenants[0].apiKey" is missing.\nfile /insights.yaml, line 1\nAdd "tenants[0].apiKey": exactly one of apiKey, token.',
    },
    {
      name: 'a time zone that does not exist',
      yaml: 'schedule: {timeZone: Mars/Base}',
      text: '"schedule.timeZone" cannot be "Mars/Base".\nfile /insights.yaml, line 1\nAllowed: an IANA time zone such as Europe/Paris.',
    },
    {
      name: 'the version of a newer file, rather than a key that only that version knows',
      yaml: 'version: 2\nnovelty: true',
      text: 'The configuration has version 2, but this program only knows version 1.\nfile /insights.yaml, line 1\nInstall the version of insights-etl that the file was written for, or a newer one.',
    },
    {
      name: 'white space around an address',
      yaml: 'baseUrl: " https://app.neostore.cloud"',
      text: '"baseUrl" cannot be " https://app.neostore.cloud".\nfile /insights.yaml, line 1\nAllowed: a URL without white space around it.',
    },
    {
      name: 'a folder that is not on this machine',
      yaml: 'dataDir: s3://bucket/lake',
      text: '"dataDir" cannot be "s3://bucket/lake".\nfile /insights.yaml, line 1\nAllowed: a path on this machine; copy it to s3:// afterwards, for example with rclone or the tool of the provider.',
    },
    {
      name: 'a mirror in a place that none can be in',
      yaml: 'mirror: ftp://host/lake',
      text: '"mirror.to" cannot be "ftp://host/lake".\nfile /insights.yaml, line 1\nAllowed: s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or a folder.',
    },
    {
      name: 'a mirror with a key in its address, which is not repeated',
      yaml: 'mirror: s3://KEY:SECRET@bucket/lake',
      text: '"mirror.to" cannot be used as given.\nfile /insights.yaml, line 1\nAllowed: s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or a folder. A bucket or container has 3 to 63 characters: a-z, 0-9, hyphens, dots and underscores, the first a letter or digit.',
    },
    {
      name: 'a mirror over plain http',
      yaml: 'mirror: { to: s3://bucket/lake, endpoint: http://store.example.com }',
      text: '"mirror.endpoint" cannot be "http://store.example.com".\nfile /insights.yaml, line 1\nAllowed: https (plain http only for a service on this machine).',
    },
    {
      name: 'a cron expression that is none',
      yaml: 'tables: {Logs: {schedule: {cron: "61 3 * * *"}}}',
      text: '"tables.Logs.schedule.cron" cannot be "61 3 * * *".\nfile /insights.yaml, line 1\nAllowed: five fields: minute hour day month weekday, such as 0 3 * * *.',
    },
    {
      name: 'broken YAML, with its line',
      yaml: 'page:\n  maxRows: [1',
      text: 'The configuration file is not valid YAML: bad indent.\nfile /insights.yaml, line 2\nCorrect this line; docs/config.md has an example.',
    },
  ])('$name', async ({ yaml, text }) => {
    expect(await refusal(yaml)).toBe(text);
  });

  it('a wrong value of the environment names the variable', async () => {
    expect(await refusal('', { INSIGHTS_PAGE_MAX_ROWS: 'many' })).toBe(
      '"page.maxRows" cannot be "many".\nenvironment INSIGHTS_PAGE_MAX_ROWS\nAllowed: a number.',
    );
  });

  it('a variable that looks like a typo of a known one is refused, others are ignored', async () => {
    expect(await refusal('', { INSIGHTS_DATADIR: 'x' })).toBe(
      'Unknown environment variable INSIGHTS_DATADIR.\nenvironment INSIGHTS_DATADIR\nDid you mean INSIGHTS_DATA_DIR? Rename it or unset it.',
    );
    await expect(loadYaml('', { INSIGHTS_KEY_OF_MY_SHOP: 'x' })).resolves.toBeDefined();
  });

  it('a configuration file that is missing or unreadable', () => {
    expect(() => load({ file: 'missing.yaml' })).toThrow('The configuration file cannot be read (ENOENT).');
    expect(() => load({ file: stage.folder })).toThrow('The configuration file cannot be read (EISDIR).');
  });

  it('two configuration files in one folder', async () => {
    await stage.write('insights.yaml', '');
    await stage.write('insights.json', '{}');
    expect(() => load()).toThrow(/more than one configuration file/);
  });
});

describe('secrets', () => {
  async function credentialOf(yaml: string, env: Record<string, string> = {}) {
    const config = await loadYaml(`tenants: [{id: a, apiKey: ${yaml}}]`, env);
    const tenant = config.tenants[0];
    if (!tenant) throw new Error('no tenant');
    return tenant.credential();
  }

  it('come from the environment, a file or a command', async () => {
    await stage.write('key', `${KEY}\n`);
    expect((await credentialOf('{env: A_KEY}', { A_KEY: KEY })).value).toBe(KEY);
    expect((await credentialOf('{file: key}')).value).toBe(KEY);
    expect((await credentialOf(`{command: "echo ${KEY}"}`)).value).toBe(KEY);
  });

  it('are read again at each call, so that a rotated key needs no restart', async () => {
    await stage.write('key', 'old');
    const config = await loadYaml('tenants: [{id: a, apiKey: {file: key}}]');
    const read = async () => (await config.tenants[0]?.credential())?.value;
    expect(await read()).toBe('old');
    await stage.write('key', 'new');
    expect(await read()).toBe('new');
  });

  it.each([
    ['an unset variable', '{env: NONE}', 'The secret of tenant "a" is empty: environment variable NONE.'],
    ['a missing file', '{file: none}', 'The secret of tenant "a" cannot be read from its file (ENOENT).'],
    [
      'a failing command',
      '{command: "echo k-1; exit 3"}',
      'The command that prints the secret of tenant "a" ended with code 3.',
    ],
    [
      'several lines',
      `{command: "printf 'k-1\\\\nk-2'"}`,
      'The secret of tenant "a" is not one line of visible ASCII: output of the command.',
    ],
  ])('%s is refused without showing any part of the secret', async (_name, source, message) => {
    const error = await credentialOf(source).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ message });
    expect(inspect(error)).not.toContain('k-1');
  });

  it('a key given instead of its source is refused and not repeated', async () => {
    const text = await refusal(`tenants: [{id: a, apiKey: ${KEY}}]`);
    expect(text).toContain(
      'Allowed: exactly one of {env: NAME}, {file: PATH}, {command: COMMAND}, never the key itself.',
    );
    expect(text).not.toContain(KEY);
  });

  it('a password in an address is refused and not repeated', async () => {
    const text = await refusal(`baseUrl: https://me:${KEY}@example.com`);
    expect(text).toContain('Allowed: a URL without a user name or password.');
    expect(text).not.toContain(KEY);
  });

  it('cannot be printed: text, JSON, inspection and copying hide the value', async () => {
    const credential = await credentialOf('{env: A_KEY}', { A_KEY: KEY });
    const shown = [
      String(credential),
      JSON.stringify({ credential }),
      inspect(credential),
      JSON.stringify(Object.fromEntries(Object.entries(credential))),
    ];
    for (const text of shown) expect(text).not.toContain(KEY);
    expect(shown.slice(0, 3)).toEqual(['[secret]', '{"credential":"[secret]"}', '[secret]']);
  });
});
