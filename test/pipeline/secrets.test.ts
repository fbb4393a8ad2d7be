/** Invariant 7, end to end: no key and no row value in logs, errors, reports or the ledger's runs, whatever goes wrong. */
import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { z } from 'zod';
import type { FaultRule } from '../../src/sandbox/faults.ts';
import { openWorld } from './support/world.ts';

const VALUE = 'canary-row-value';
const lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ integrity: z.string().optional(), hasInstallScript: z.boolean().optional() }),
  ),
});

it('neither the key nor a row is ever told, at any log level', async () => {
  await using world = await openWorld({
    rows: 100,
    days: 1,
    now: '2026-11-01T00:30:00Z',
    frozen: true,
    tenants: ['canary'],
  });
  const row = { eventId: VALUE, timestamp: '2026-10-31T10:00:00Z', eventType: VALUE, properties: { [VALUE]: VALUE } };
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'canary', rows: [row] });
  let told = '';
  const sink = new Writable({
    write(chunk, _, done) {
      told += String(chunk);
      done();
    },
  });
  const log = pino({ level: 'trace' }, sink);
  const replies: FaultRule['reply'][] = [
    ...[400, 401, 403, 404, 429, 500].map((status) => ({ kind: 'status', status, body: 'echo' }) as const),
    { kind: 'malformed-rows', rows: 500 },
    { kind: 'truncated-body' },
    { kind: 'error-in-rows' },
    { kind: 'bad-datetime', rows: 500 },
    { kind: 'encoding', form: 'corrupt-gzip' },
    { kind: 'html' },
  ];
  const key = world.sandbox.keyOf('canary');
  for (const reply of replies) {
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { kind: 'page' }, times: null, reply }] });
    told += JSON.stringify(await world.run({ tables: ['Events'] }, {}, { log }));
  }
  await world.sandbox.apply({ action: 'faults', rules: [] });
  told += JSON.stringify(await world.run({ tables: ['Events'] }, {}, { log }));
  told += JSON.stringify(await world.sql('select * from runs'));
  told += [...(await world.published()).keys()].join('\n');
  expect(told).toContain('[secret]');
  expect(told).not.toContain(key);
  expect(told).not.toContain(VALUE);
});

it('no dependency runs a script when it is installed, and each is pinned by a hash', async () => {
  const text = await readFile(new URL('../../package-lock.json', import.meta.url), 'utf8');
  const packages = Object.entries(lock.parse(JSON.parse(text)).packages).filter(([name]) => name !== '');
  expect(packages.length).toBeGreaterThan(50);
  expect(packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([name]) => name)).toEqual([]);
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([name]) => name)).toEqual([]);
});
