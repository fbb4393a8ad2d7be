/** Hostile names and values, from the source to the screen: they change no query, no path and no view. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { readCatalogue } from '../load/support/catalogue.ts';
import { openStage, type Stage } from '../support/shell.ts';

const LONG = 'n'.repeat(65_536);
/** Each is used as a type, an operation, and the name and the value of a property. */
const HOSTILE = [
  `"; drop table events; --`,
  `'; drop view logs; --`,
  `') or 1=1 --`,
  `a"b'c\`d;e`,
  '../../../../tmp/escaped',
  '..',
  'C:\\temp\\x',
  'line\nbreak\r\n\ttab',
  'null\u0000byte',
  '\u001B[2J\u001B]0;title\u0007',
  '\u202Egnp.exe\u2066',
  '\u200Bzero\uFEFFwidth',
  'select',
  'events',
  'tenant_id',
  'constructor',
  '__proto__',
  '$.a[*]',
  '/a~1b~0c',
  '%s${x}{{y}}',
  '=1+1',
  '💥é漢',
  '',
  LONG,
];
const SOURCE_TENANT = `o'brien; drop table hours; --`;
const INVISIBLE = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u200B-\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/; // oxlint-disable-line no-control-regex -- the test looks for them

let sandbox: Sandbox;
let stage: Stage;
let data: string;
let env: Record<string, string>;
beforeAll(async () => {
  stage = await openStage();
  data = await mkdtemp(join(tmpdir(), 'insights-hostile-'));
  const lines = HOSTILE.map((text, n) =>
    JSON.stringify({
      eventId: idOf(n),
      timestamp: `2026-10-31T10:${String(10 + n)}:00Z`,
      tenantId: 'demo',
      eventType: text,
      operationId: text,
      properties: Object.fromEntries([[text, text]]),
    }),
  );
  await writeFile(join(data, 'logs.ndjson'), lines.join('\n'));
  sandbox = await startSandbox({ data, now: '2026-11-01T00:30:00Z', frozen: true, rate: 0, memory: true });
  // Rows name a tenant too; the lake stores that name as the source sends it.
  await sandbox.apply({ action: 'faults', rules: [{ times: null, reply: { kind: 'wrong-tenant', tenant: SOURCE_TENANT } }] }); // oxfmt-ignore
  env = {
    INSIGHTS_BASE_URL: sandbox.url,
    INSIGHTS_TENANT: 'demo',
    INSIGHTS_API_KEY: sandbox.keyOf('demo'),
    INSIGHTS_CALLS_PER_MINUTE: '0',
  };
});
afterAll(async () => {
  await sandbox.close();
  await stage[Symbol.asyncDispose]();
  await rm(data, { recursive: true, force: true });
});

const idOf = (n: number): string => `id-${String(n).padStart(2, '0')}`;
const sql = (query: string): Promise<Record<string, unknown>[]> => readCatalogue(join(stage.folder, 'data'), query);

describe('hostile names and values', () => {
  it('are loaded unchanged and verified; no query contains one, and no file is named after one', async () => {
    expect(await stage.run(['run', '--table', 'Logs'], env)).toMatchObject({ code: EXIT.ok });
    const rows = await sql(`select event_id, source_tenant_id, event_type, operation_id, properties::varchar as properties from logs order by event_id`); // oxfmt-ignore
    expect(rows.map((row) => ({ ...row, properties: JSON.parse(String(row['properties'])) as unknown }))).toEqual(
      HOSTILE.map((text, n) => ({
        event_id: idOf(n),
        source_tenant_id: SOURCE_TENANT,
        // An empty text is stored as null.
        event_type: text === '' ? null : text,
        operation_id: text === '' ? null : text,
        properties: Object.fromEntries([[text, text]]),
      })),
    );
    expect(sandbox.calls.filter(({ query }) => HOSTILE.some((text) => text.length > 12 && query.includes(text)))).toEqual([]); // oxfmt-ignore
    const names = await readdir(stage.folder, { recursive: true });
    expect(names.filter((name) => !/^data(\/[\w.=-]+)*$/.test(name))).toEqual([]);
  });

  it('each type gets a view with a plain name that shows its row, with the value in a column', async () => {
    const views = await sql(`select view_name as name from duckdb_views() where schema_name = 'main' and starts_with(view_name, 'log_')`); // oxfmt-ignore
    const names = views.map(({ name }) => String(name));
    // Letters of every script and emoji stay; nothing that would end a quoted name or that nobody sees.
    expect(
      names.filter((name) => !/^log_[\p{Ll}\p{Lo}\p{N}\p{M}\p{Extended_Pictographic}_]{1,60}$/u.test(name)),
    ).toEqual([]);
    const rows = await sql(`${names.map((name) => `from "${name}"`).join(' union all by name ')} order by event_id`);
    // SQL text cannot contain a NUL: such a type has no view.
    const shown = HOSTILE.flatMap((text, n) => (text.includes('\0') ? [] : [idOf(n)]));
    expect(rows.map((row) => row['event_id'])).toEqual(shown);
    for (const row of rows) {
      const text = HOSTILE[Number(String(row['event_id']).slice(3))] ?? '';
      const fixed = ['event_type', 'operation_id', 'properties'];
      const columns = Object.entries(row).filter(([name, value]) => value === text && !fixed.includes(name));
      // Keys with control characters, or too long for a column name, stay in `properties`.
      const isPlain = text !== LONG && !/\p{Cc}/u.test(text);
      expect({ text, columns: columns.length }).toEqual({ text, columns: isPlain ? 1 : 0 });
    }
  });

  it.each([['sql', 'select event_type, operation_id, properties from logs'], ['query', 'log_volume'], ['properties']])(
    '%s … prints one line for each row, and no invisible character',
    async (...argv) => {
      const { code, out, err } = await stage.run(argv, env);
      expect({ code, err }).toEqual({ code: EXIT.ok, err: '' });
      expect(INVISIBLE.exec(out)?.[0]).toBeUndefined();
      expect(out).toContain('\\u{202e}gnp.exe');
      const [, ...lines] = out.trimEnd().split('\n');
      // The line below the rows says that a cell was cut.
      expect(lines.pop()).toMatch(/cut/);
      expect(lines).toHaveLength(HOSTILE.length);
    },
  );
});

describe('a tenant id', () => {
  it.each([
    SOURCE_TENANT,
    '../up',
    '..',
    'a/b',
    'a\\b',
    'a\nb',
    'a\0b',
    '\u202Eevil',
    'a"b',
    'a b',
    '%2e%2e',
    'n'.repeat(129),
  ])('that is not a plain name is refused before anything is sent or written: %j', async (id) => {
    const calls = sandbox.calls.length;
    const { code, err } = await stage.run(['run', '--data-dir', 'other'], { ...env, INSIGHTS_TENANT: id });
    expect(code).toBe(EXIT.config);
    expect(err.replaceAll('\n', '')).not.toMatch(INVISIBLE);
    expect(sandbox.calls.length).toBe(calls);
    expect(await readdir(stage.folder)).toEqual(['data']);
  });
});
