/** Invariant 7, end to end: no fault puts a credential or row content into logs, errors, reports, names or ledger messages. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { text } from '../support/cells.ts';
import { openLedger } from '../../src/load/ledger/ledger.ts';
import { lakeSettings } from '../../src/pipeline/lake-settings.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { bytesBelow, openWorld } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const VALUE = 'canary-row-value';
const BIG = 3_000_000;

type Reply = FaultRule['reply'];
type Forms = { [Kind in Reply['kind']]: readonly Extract<Reply, { kind: Kind }>[] };

/** Every kind of fault that the sandbox knows: the type requires that none is missing. */
const FORMS: Forms = {
  status: [408, 429, 500, 503, 400, 401, 403, 404, 413, 504].flatMap((status) =>
    (status === 500 ? (['echo', 'problem-text', 'html', 'text', 'empty'] as const) : (['echo'] as const)).map(
      (body) => ({ kind: 'status', status, body }) as const,
    ),
  ),
  html: [{ kind: 'html' }],
  redirect: [{ kind: 'redirect' }],
  'refused-function': [{ kind: 'refused-function', name: 'hash_md5' }],
  'endless-body': (['rows', 'text'] as const).map((form) => ({ kind: 'endless-body', form })),
  'deep-nesting': (['answer', 'cell', 'text'] as const).map((at) => ({ kind: 'deep-nesting', at, levels: 10_000 })),
  'giant-row': [{ kind: 'giant-row', bytes: BIG }],
  'gzip-bomb': [{ kind: 'gzip-bomb', bytes: BIG }],
  reset: (['before', 'headers', 'body'] as const).map((at) => ({ kind: 'reset', at })),
  stall: [{ kind: 'stall', at: 'body' }],
  drip: [{ kind: 'drip', bytes: 100, everyMs: 2 }],
  'truncated-body': [{ kind: 'truncated-body' }, { kind: 'truncated-body', contentLength: false }],
  'wrong-length': [-10, 10].map((by) => ({ kind: 'wrong-length', by })),
  encoding: (['corrupt-gzip', 'cut-gzip', 'not-gzip'] as const).map((form) => ({ kind: 'encoding', form })),
  'silent-truncation': [{ kind: 'silent-truncation', rows: 1 }],
  'error-in-rows': (['one-api-errors', 'exceptions'] as const).map((form) => ({ kind: 'error-in-rows', form })),
  'top-level-error': (['error', 'OneApiErrors'] as const).map((member) => ({ kind: 'top-level-error', member })),
  'deferred-failure': (['v1', 'v2'] as const).map((form) => ({ kind: 'deferred-failure', form })),
  'too-large': (['exceptions', 'error-400'] as const).map((mode) => ({ kind: 'too-large', mode })),
  'malformed-rows': [
    { kind: 'malformed-rows' },
    { kind: 'malformed-rows', width: -1 },
    // Too many bad rows for one page: the page is refused.
    { kind: 'malformed-rows', rows: 3 },
  ],
  'reordered-columns': [{ kind: 'reordered-columns' }],
  'wrong-tenant': [{ kind: 'wrong-tenant' }],
  'duplicate-rows': [{ kind: 'duplicate-rows' }],
  'duplicate-ids': [{ kind: 'duplicate-ids' }],
  'altered-text': [{ kind: 'altered-text' }],
  'null-id': [{ kind: 'null-id' }],
  'bad-datetime': [{ kind: 'bad-datetime' }],
  'outside-window': [{ kind: 'outside-window' }],
  'stale-replica': [{ kind: 'stale-replica', share: 0.5 }],
};

/** Faults that end a table or a tenant: each of them needs its own tenant. */
const isFinal = (reply: Reply): boolean =>
  reply.kind === 'status'
    ? [400, 401, 403, 404].includes(reply.status)
    : reply.kind === 'redirect' || reply.kind === 'refused-function';
/** Complete answers with wrong rows. */
const ROWS: readonly Reply['kind'][] = ['malformed-rows', 'reordered-columns', 'wrong-tenant', 'duplicate-rows', 'duplicate-ids', 'altered-text', 'null-id', 'bad-datetime', 'outside-window']; // oxfmt-ignore
const HOURS = 12;

interface Plan {
  readonly id: string;
  readonly credential: 'apiKey' | 'token';
  readonly rules: readonly FaultRule[];
}

/** Tenants and their faults, once for each kind of credential. A tenant meets one fault after the other while the client goes on. */
function plans(): Plan[] {
  const replies: readonly Reply[] = Object.values(FORMS).flat();
  const isAboutRows = (reply: Reply): boolean => ROWS.includes(reply.kind);
  const groups: [string, readonly Reply[]][] = [
    ['calls', replies.filter((reply) => !isFinal(reply) && !isAboutRows(reply))],
    ['rows', replies.filter(isAboutRows)],
    ...replies.filter(isFinal).map((reply, n): [string, readonly Reply[]] => [`final-${n}`, [reply]]),
  ];
  return (['apiKey', 'token'] as const).flatMap((credential) =>
    groups.map(([name, list]) => {
      const id = `${name}-${credential}`;
      const rules = list.map((reply) => {
        // A refused function is used by the counts that come before a page.
        const page = reply.kind === 'refused-function' ? {} : ({ kind: 'page' } as const);
        return { match: { ...page, tenant: id }, reply };
      });
      return { id, credential, rules };
    }),
  );
}

it(
  'no credential and no row content is in any log, error, report, name or ledger message, whatever the fault',
  CAMPAIGN,
  async () => {
    const data = await mkdtemp(join(tmpdir(), 'insights-canary-'));
    const all = plans();
    const rows = all.flatMap(({ id }) =>
      Array.from({ length: 4 * (id.startsWith('rows') ? HOURS : 1) }, (_, n) => ({
        eventId: `${VALUE}-${n}`,
        timestamp: `2026-10-31T${10 + Math.floor(n / 4)}:${10 + (n % 4)}:00Z`,
        tenantId: id,
        eventType: VALUE,
        properties: { [VALUE]: VALUE },
      })),
    );
    await writeFile(join(data, 'events.ndjson'), rows.map((row) => JSON.stringify(row)).join('\n'));
    try {
      const tenants = all.map(({ id }) => id);
      const source = { data, tenants, now: '2026-11-01T12:00:00Z', frozen: true, faults: all.flatMap(({ rules }) => rules) }; // oxfmt-ignore
      await using world = await openWorld(source, {
        http: { attempts: 30, maxBodyBytes: 1 << 20, timeoutSeconds: 5, stallSeconds: 1 },
        // Each page is an hour. One wrong row in it is quarantined; three are too many.
        page: { maxRows: 4 },
        quarantine: { minRows: 2, maxShare: 0.5 },
        engine: { threads: 1 },
        tenants: all.map(({ id, credential }) => ({ id, [credential]: { env: `KEY_${id.replaceAll('-', '_').toUpperCase()}` } })), // oxfmt-ignore
      });
      // The most verbose level: the others log a part of it.
      const output: string[] = [];
      const write = (chunk: unknown, _: unknown, done: () => void): void => {
        output.push(String(chunk));
        done();
      };
      const log = pino({ level: 'trace' }, new Writable({ write }));
      const report = await world.run({ tables: ['Events'] }, {}, { log, random: () => 0 });
      output.push(JSON.stringify(report), process.title, ...(await readdir(world.dataDir, { recursive: true })));
      {
        await using ledger = await openLedger(world.dataDir, lakeSettings(world.config()), world.runtime);
        const parts = ['runs', 'tenants', 'batches', 'partitions', '(select * exclude (id, raw) from quarantine)'];
        const rows = await Promise.all(
          parts.map((part) => ledger.rawRows(`select part::varchar as content from ${part} part`)),
        );
        output.push(...rows.flat().map((row) => text(row, 'content') ?? ''));
      }
      for (const { id, rules } of all) {
        const met = world.sandbox.calls.filter(({ tenant, fault }) => tenant === id && fault !== undefined).length;
        expect({ id, met: met >= rules.length }).toEqual({ id, met: true });
      }
      const shown = output.join('\n');
      expect(shown).toContain('[secret]');
      expect(shown).toContain('wrong width');
      expect(shown).not.toContain(VALUE);
      const bytes = await bytesBelow(world.dataDir);
      expect(bytes).toContain(VALUE);
      for (const id of tenants) {
        expect(shown).not.toContain(world.sandbox.keyOf(id));
        expect(bytes).not.toContain(world.sandbox.keyOf(id));
      }
    } finally {
      await rm(data, { recursive: true, force: true });
    }
  },
);

const lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ integrity: z.string().optional(), hasInstallScript: z.boolean().optional() }),
  ),
});

it('no dependency runs an install script, and each is pinned by a hash', async () => {
  const content = await readFile(new URL('../../package-lock.json', import.meta.url), 'utf8');
  const packages = Object.entries(lock.parse(JSON.parse(content)).packages).filter(([name]) => name !== '');
  expect(packages.length).toBeGreaterThan(50);
  expect(packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([name]) => name)).toEqual([]);
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([name]) => name)).toEqual([]);
});
