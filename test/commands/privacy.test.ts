import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publish } from '../../src/load/publish/publish.ts';
import { event, load, scratchLake, span } from '../load/support/lake.ts';
import type { Scratch } from '../load/support/lake.ts';
import { openStage } from '../support/shell.ts';

const DAY = span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z');
let lake: Scratch;

beforeAll(async () => {
  lake = await scratchLake();
  const personal = (n: number) => ({
    customer: { mail: `jane-${n}@secret.example`, ip: '10.1.2.3' },
    notes: [{ by: n === 0 ? '+33 6 11 22 33 44' : 'nobody' }],
    'odd.key': 'Mozilla/5.0 (X11)',
    '': { x: n === 0 ? 'x@y.zz' : '' },
    storeId: 'PAR',
  });
  const row = (n: number, type: string) => event(`${type}-${n}`, '2026-07-01T10:00:00Z', { type, properties: JSON.stringify(personal(n)) }); // oxfmt-ignore
  const rows = [0, 1, 2, 3].flatMap((n) => [row(n, 'Pass:Scanned'), row(n, 'Login')]);
  await load(lake, DAY, rows);
  await load(lake, DAY, [event('l', '2026-07-01T10:00:00Z', { type: 'Sent', properties: '{"to":"joe@secret.example"}' })], { table: 'Logs' }); // oxfmt-ignore
  await publish(lake.ledger, { run: 'r', head: false });
});
afterAll(() => lake[Symbol.asyncDispose]());

interface Finding {
  readonly table: string;
  readonly type: string;
  readonly path: string;
  readonly looksLike: string;
  readonly values: number;
  readonly share: number;
}

async function audit(rules: string, ...args: string[]): Promise<{ code: number; out: string; found: string[] }> {
  await using stage = await openStage();
  await stage.write('insights.yaml', `privacy: {rules: [${rules}]}\n`);
  const argv = ['privacy', 'audit', '--data-dir', lake.dir, ...args];
  const { code, out } = await stage.run(argv);
  const { paths }: { paths: Finding[] } = JSON.parse((await stage.run([...argv, '--json'])).out);
  const found = paths.map(({ table, type, path, looksLike, values, share }) => `${table} ${type} ${path}: ${looksLike} ${values} ${share}`); // oxfmt-ignore
  return { code, out, found };
}

describe('privacy audit', () => {
  it('lists paths that look personal in the syntax of a rule, by share of the values, and prints no value', async () => {
    const { code, out, found } = await audit('');
    expect(code).toBe(0);
    expect(found).toEqual([
      'Events Login "odd.key": user agent 4 1',
      'Events Pass:Scanned "odd.key": user agent 4 1',
      'Events Login *.x: e-mail address 1 1',
      'Events Pass:Scanned *.x: e-mail address 1 1',
      'Events Login customer.ip: IP address 4 1',
      'Events Pass:Scanned customer.ip: IP address 4 1',
      'Events Login customer.mail: e-mail address 4 1',
      'Events Pass:Scanned customer.mail: e-mail address 4 1',
      'Logs Sent to: e-mail address 1 1',
      'Events Login notes.*.by: phone number 1 0.25',
      'Events Pass:Scanned notes.*.by: phone number 1 0.25',
    ]);
    expect(out).toMatch(/Logs +Sent +to +e-mail address +1 +100 %/);
    expect(out).toMatch(/Events +Login +notes\.\*\.by +phone number +1 +25 %/);
    for (const value of ['secret', '10.1', 'Mozilla', '+33']) expect(out).not.toContain(value);
  });

  it('omits what a rule covers, by path, part of a path, type and table', async () => {
    const rules = [
      '{action: drop, paths: [customer, "*.x"]}',
      `{action: mask, types: ['pass.*'], paths: ['notes.*.by', '"odd.key"']}`,
      '{action: drop, tables: [Logs], paths: ["t*"]}',
    ].join(', ');
    expect((await audit(rules)).found).toEqual([
      'Events Login "odd.key": user agent 4 1',
      'Events Login notes.*.by: phone number 1 0.25',
    ]);
    const all = await audit(`{action: drop, paths: [customer, '*.x', 'n*.*', '"odd.key"', to]}`);
    expect(all.found).toEqual([]);
    expect(all.out).toContain('No path without a rule looks like personal data.');
  });

  it('can be limited to a table, a tenant and a number of rows', async () => {
    expect((await audit('', '--table', 'Logs')).found).toEqual(['Logs Sent to: e-mail address 1 1']);
    expect((await audit('', '--tenant', 'nobody')).found).toEqual([]);
    const { found } = await audit('', '--table', 'Events', '--rows', '1');
    for (const line of found) expect(line).not.toMatch(/ 4 1$/);
  });
});
