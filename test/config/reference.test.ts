/**
 * What is generated from the zod schema. After a change of the schema, write the files anew with
 * `npx vitest run test/config/reference.test.ts -u`.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { format } from 'prettier';
import { configJsonSchema, configKeys, type Key } from '../../src/config/names.ts';
import { loadConfig } from '../../src/config/config.ts';
import { openStage } from '../support/shell.ts';

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
\`INSIGHTS_BASE_URL\` where it is not the production service.

Otherwise write \`insights.yaml\` (or \`.yml\`, \`.json\`) in the folder where the command runs, or name a file by \`--config\`
or \`INSIGHTS_CONFIG\`. Values in the file give way to the environment, the environment to flags. A relative \`dataDir\` and
a secret's \`file\` count from the folder of the configuration file. \`schema/config.schema.json\` lets an editor complete
and check the file: put \`# yaml-language-server: $schema=…/schema/config.schema.json\` on its first line.

A secret never stands in the file nor in a flag: the file says where it comes from, \`{ env: NAME }\`, \`{ file: PATH }\` or
\`{ command: COMMAND }\`, and it is read again at each call.

\`\`\`yaml
${EXAMPLE}\`\`\`

## Keys
`;

const TAIL = `
## Variables that are not keys

| variable | meaning |
|---|---|
| \`INSIGHTS_CONFIG\` | the configuration file, as \`--config\` |
| \`INSIGHTS_TENANT\` | load this tenant alone; what a file says of it still holds |
| \`INSIGHTS_API_KEY\` | its API key; also the key of a file's only tenant that has none |
| \`INSIGHTS_TOKEN\` | its bearer token, instead of an API key |
| \`NO_COLOR\` | any value: no colours |
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
  return format(`${HEAD}\n${table.join('\n')}\n${TAIL}`, { parser: 'markdown', printWidth: 120, singleQuote: true });
}

describe('the configuration reference', () => {
  it('docs/config.md is what the schema says', async () => {
    await expect(await reference()).toMatchFileSnapshot('../../docs/config.md');
  });

  it('schema/config.schema.json is what the schema says', async () => {
    const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot('../../schema/config.schema.json');
  });

  it('every key is described', () => {
    const silent = configKeys().filter(({ description }) => description === '');
    expect(silent.map(({ path }) => path.join('.'))).toEqual([]);
  });

  it('no two keys have the same environment variable', () => {
    const names = configKeys().flatMap(({ env }) => (env === undefined ? [] : [env]));
    expect(new Set(names).size).toBe(names.length);
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
