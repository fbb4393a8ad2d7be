/**
 * The files generated from the zod schema. After a change of the schema, regenerate them with
 * `npx vitest run test/config/reference.test.ts -u`.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { configJsonSchema, configKeys, environmentKeys, type Key } from '../../src/config/names.ts';
import { loadConfig } from '../../src/config/config.ts';
import { openStage } from '../support/shell.ts';
import { formatMarkdown } from '../support/markdown.ts';

const EXAMPLE = `baseUrl: https://app.neostore.cloud
dataDir: ./data
tenants:
  - id: riviera-paris
    apiKey: { env: RIVIERA_KEY }
  - id: nordlys
    apiKey: { file: ./secrets/nordlys.key }
    callsPerMinute: 30
    start: 2025-01-01
  - id: atelier9
    token: { command: pass show insights/atelier9 }
    tables: [Events, Metrics]
tables:
  Events: { start: 2024-01-01 }
privacy:
  drop:
    Events: [userAgent]
  key: { env: INSIGHTS_PRIVACY_SECRET }
  rules:
    - { action: hash, paths: ['identifiers.*', customerId] }
    - { action: mask, tables: [Logs], paths: [user.email] }
schedule: { cron: '15 3 * * *', timeZone: Europe/Paris }
`;

const HEAD = `# Configuration

<!-- Generated from src/config/schema.ts by test/config/reference.test.ts: change the descriptions there. -->

One tenant needs no file: set \`INSIGHTS_TENANT\` and \`INSIGHTS_API_KEY\` (or \`INSIGHTS_TOKEN\` for a bearer token), and
\`INSIGHTS_BASE_URL\` if it is not the production service.

Otherwise write \`insights.yaml\` (or \`.yml\`, \`.json\`) in the folder where you run the command, or name a file with
\`--config\` or \`INSIGHTS_CONFIG\`. \`insights-etl init\` writes a first one.

Environment variables override the file, and flags override both. A tenant's own key overrides the general key, but not a
flag: \`--max-calls\`, \`--max-minutes\`, \`--cron\` and \`--time-zone\` apply to every tenant and table.

A relative \`dataDir\` and the \`file\` of a secret are resolved against the folder of the configuration file.
\`schema/config.schema.json\` lets an editor complete and check the file: put
\`# yaml-language-server: $schema=…/schema/config.schema.json\` on its first line, as \`insights-etl init\` does. An editor cannot see
whether two tenants have the same id.

\`insights-etl config check\` reports every mistake of file, environment and flags at once, each with its line. \`insights-etl config
show\` prints the settings in force and where each comes from: \`--changed\` leaves out the defaults, \`--tenant 'riviera-*'\` shows
what applies to these tenants. Neither reads a secret or sends a call.

A secret is never written in the file or given as a flag. The file says where to read it, \`{ env: NAME }\`,
\`{ file: PATH }\` or \`{ command: COMMAND }\`, and it is read again at each call.

\`\`\`yaml
${EXAMPLE}\`\`\`

## Keys
`;

const TAIL = `
## Variables that are not keys

| variable | meaning |
|---|---|
| \`INSIGHTS_CONFIG\` | the configuration file, like \`--config\` |
| \`INSIGHTS_TENANT\` | load only this tenant; its settings in the file still apply |
| \`INSIGHTS_API_KEY\` | its API key; also the key of the only tenant of the file, if it has none |
| \`INSIGHTS_TOKEN\` | its bearer token, instead of an API key |
| \`NO_COLOR\` | any non-empty value disables colours |
`;

function row({ path, type, description, fallback, least, most, env }: Key): string {
  const bounds = most === undefined ? (least === undefined ? '' : `, ≥ ${least}`) : `, ${least ?? 0} to ${most}`;
  const value =
    fallback === undefined || Array.isArray(fallback) ? '' : `\`${JSON.stringify(fallback).replaceAll('"', '')}\``;
  const cells = [
    `\`${path.join('.')}\``,
    `${type}${bounds}`,
    value,
    description,
    env === undefined ? '' : `\`${env}\``,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}

async function reference(): Promise<string> {
  const rows = configKeys().map(row);
  const table = ['| key | type | default | meaning | variable |', '|---|---|---|---|---|', ...rows];
  return formatMarkdown(`${HEAD}\n${table.join('\n')}\n${TAIL}`);
}

describe('the configuration reference', () => {
  it('docs/config.md matches the schema', async () => {
    await expect(await reference()).toMatchFileSnapshot('../../docs/config.md');
  });

  it('schema/config.schema.json matches the schema', async () => {
    const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot('../../schema/config.schema.json');
  });

  it('every key is described', () => {
    const undescribed = configKeys().filter(({ description }) => description === '');
    expect(undescribed.map(({ path }) => path.join('.'))).toEqual([]);
  });

  it('no two keys have the same environment variable', () => {
    const names = configKeys().flatMap(({ env }) => (env === undefined ? [] : [env]));
    expect(new Set(names).size).toBe(names.length);
  });

  it('the variables that are read without the JSON Schema are those of the reference', () => {
    const known = configKeys().flatMap(({ env, path, type }) => (env === undefined ? [] : [[env, path, type]]));
    const read = [...environmentKeys()].map(([env, { path, type }]) => [env, path, type() ?? 'string']);
    expect(read).toEqual(known);
  });

  it('the example of the reference is accepted', async () => {
    await using stage = await openStage();
    await stage.write('insights.yaml', EXAMPLE);
    const config = loadConfig({ env: {}, cwd: stage.folder });
    expect(config.tenants.map(({ id }) => id)).toEqual(['riviera-paris', 'nordlys', 'atelier9']);
  });

  it('the schema refuses unknown keys, as the program does', async () => {
    const schema: unknown = JSON.parse(
      await readFile(new URL('../../schema/config.schema.json', import.meta.url), 'utf8'),
    );
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
  });
});
