/** Privacy rules from the landed page to the published files: no value that a rule covers is stored as the source sent it. */
import { createHmac } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/kernel/errors.ts';
import { text } from '../../support/cells.ts';
import { heldHours } from '../../../src/load/ledger/hours.ts';
import { DAILY, LAKE_SETTINGS } from '../support/lake.ts';
import type { LakeSettings } from '../../../src/load/ledger/ledger.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { replayQuarantined } from '../../../src/load/merge/replay.ts';
import { forgetTexts, rebuild, rebuildDue } from '../../../src/load/maintenance/rebuild.ts';
import { repair } from '../../../src/load/maintenance/repair.ts';
import type { PrivacyRule } from '../../../src/model/privacy.ts';
import { TABLES } from '../../../src/model/tables.ts';
import { bytesBelow } from '../../pipeline/support/world.ts';
import { event, load, scratchLake, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const LATE = span('2026-07-03T20:00:00Z', '2026-07-03T21:00:00Z');
const KEY = 'key of the tests';
const FOLDER = 'store/events/tenant_id=acme/month=2026-07';

const HASH: PrivacyRule = { action: 'hash', types: undefined, paths: ['email', 'passId'] };
const DROP: PrivacyRule = { action: 'drop', types: undefined, paths: ['userAgent'] };

function under(...rules: PrivacyRule[]): Pick<LakeSettings, 'tables' | 'privacyKey'> {
  const tables = { ...TABLES, Events: { ...TABLES.Events, privacy: rules }, Logs: { ...TABLES.Logs, privacy: rules } };
  return { tables, privacyKey: async () => KEY };
}

function hmac(value: string): string {
  return `hmac:${createHmac('sha256', KEY).update(value).digest('hex')}`;
}

function row(id: string, properties: object, time = '2026-07-03T10:00:00Z'): unknown[] {
  return event(id, time, { properties: JSON.stringify(properties) });
}

const JANE = row('a', { email: 'jane@example.com', userAgent: 'Firefox-117', passId: 'PASS-77', n: 1.5 });
const PRIVATE = { email: hmac('jane@example.com'), passId: hmac('PASS-77'), n: 1.5 };

function parsed(cell: unknown): Record<string, unknown> {
  return typeof cell === 'string' ? JSON.parse(cell) : {};
}

async function stored(lake: Scratch): Promise<unknown[]> {
  const rows = await storedRows(lake.ledger, 'Events', TENANT, 'properties::varchar as p, pass_id');
  return rows.map((found) => ({ ...parsed(found['p']), column: found['pass_id'] }));
}

describe('what is loaded under rules', () => {
  test('is hashed or dropped before it is stored, in promoted columns too', async () => {
    await using lake = await scratchLake(under(HASH, DROP));
    await load(lake, DAY, [JANE]);
    await publish(lake.ledger, { run: 'r', head: true });
    expect(await stored(lake)).toEqual([{ ...PRIVATE, column: hmac('PASS-77') }]);
    const bytes = await bytesBelow(join(lake.dir, 'store'));
    for (const secret of ['jane@', 'Firefox-117', 'PASS-77']) expect(bytes).not.toContain(secret);
  });

  test('has the same hash in every table, so that joins still work', async () => {
    await using lake = await scratchLake(under(HASH));
    await load(lake, DAY, [JANE]);
    await load(lake, DAY, [row('l', { passId: 'PASS-77' })], { table: 'Logs' });
    const [log] = await storedRows(lake.ledger, 'Logs', TENANT, 'properties::varchar as p');
    expect(parsed(log?.['p'])).toEqual({ passId: hmac('PASS-77') });
  });

  test('changes nothing when it is loaded again', async () => {
    await using lake = await scratchLake(under(HASH, DROP));
    await load(lake, DAY, [JANE]);
    expect(await load(lake, DAY, [JANE])).toMatchObject({ unchanged: 1, replaced: 0, days: 0 });
  });

  test('has no text in quarantine: text that cannot be parsed cannot be made private', async () => {
    await using lake = await scratchLake(under(HASH));
    await load(lake, DAY, [JANE, row('', { email: 'jane@example.com' }), '["jane@example.com"']);
    const kept = await lake.ledger.rawRows('select reason, raw from quarantine order by all');
    expect(kept).toEqual([{ reason: 'malformed', raw: null }, { reason: 'no_id', raw: null }]); // oxfmt-ignore
  });

  test(
    'has null properties where they are nested too deeply to be parsed, and its row is loaded',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake(under(HASH, DROP));
      const deep = `{"email":"jane@example.com","x":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`;
      await load(lake, DAY, [event('d', '2026-07-03T10:00:00Z', { properties: deep })]);
      await publish(lake.ledger, { run: 'r', head: true });
      expect(await storedRows(lake.ledger, 'Events', TENANT, 'event_id, properties')).toEqual([{ event_id: 'd', properties: null }]); // oxfmt-ignore
    },
  );

  test('needs a key only if a rule hashes', async () => {
    await using lake = await scratchLake({ tables: under(DROP).tables });
    await load(lake, DAY, [JANE]);
    await lake.ledger.close();
    const reopened = lake.reopen({ tables: under(HASH).tables });
    await expect(reopened).rejects.toThrow(ConfigError);
    await lake.reopen();
  });
});

describe('a rule that is added later', () => {
  /** Two rows and one that cannot be loaded, stored before there were rules; the day's first generation is still kept. */
  async function lakeWithoutRules(): Promise<Scratch> {
    const lake = await scratchLake({ ...DAILY, keepHours: 24 });
    await load(lake, DAY, [JANE, '["jane@example.com"']);
    await load(lake, LATE, [row('b', { email: 'joe@example.com' }, '2026-07-03T20:30:00Z')]);
    await publish(lake.ledger, { run: 'r', head: true });
    expect(readdirSync(join(lake.dir, FOLDER))).toHaveLength(2);
    return lake;
  }

  test('is applied to stored rows by a rebuild, and older files are deleted at once', CAMPAIGN, async () => {
    await using lake = await lakeWithoutRules();
    const hours = await heldHours(lake.ledger, TENANT, 'Events');
    await lake.reopen(under(HASH, DROP));
    expect(await rebuildDue(lake.ledger)).toMatchObject([{ table: 'Events', files: 1, rows: 2 }]);
    await rebuild(lake.ledger, { run: 'rebuild' });
    expect(await forgetTexts(lake.ledger, {})).toBe(1);
    await publish(lake.ledger, { run: 'rebuild', head: true });
    expect(await stored(lake)).toEqual([
      { ...PRIVATE, column: hmac('PASS-77') },
      { email: hmac('joe@example.com'), column: null },
    ]);
    expect(readdirSync(join(lake.dir, FOLDER))).toEqual(['2026-07-03.3.parquet']);
    expect(await heldHours(lake.ledger, TENANT, 'Events')).toEqual(hours);
    expect(await lake.ledger.rawRows('select count(*)::int as n from quarantine where raw is not null')).toEqual([{ n: 0 }]); // oxfmt-ignore
    for (const folder of ['store', 'lake']) {
      const bytes = await bytesBelow(join(lake.dir, folder));
      for (const secret of ['jane@', 'joe@', 'Firefox-117', 'PASS-77']) expect(bytes).not.toContain(secret);
    }
    expect(await rebuildDue(lake.ledger)).toEqual([]);
  });

  test(
    'is applied by a merge to the unchanged rows of its period, and no value is hashed twice',
    CAMPAIGN,
    async () => {
      await using lake = await lakeWithoutRules();
      await lake.reopen(under(HASH));
      await load(lake, LATE, [row('b', { email: 'joe@example.com' }, '2026-07-03T20:30:00Z')]);
      expect(await stored(lake)).toMatchObject([PRIVATE, { email: hmac('joe@example.com') }]);
      await lake.reopen(under(HASH, DROP));
      await rebuild(lake.ledger, { run: 'rebuild' });
      expect(await stored(lake)).toEqual([
        { ...PRIVATE, column: hmac('PASS-77') },
        { email: hmac('joe@example.com'), column: null },
      ]);
    },
  );

  test('lets a replay judge older rows: those that still cannot be loaded stay in quarantine', CAMPAIGN, async () => {
    await using lake = await lakeWithoutRules();
    await lake.reopen(under(HASH));
    expect(await replayQuarantined(lake.ledger, {}, 'replay')).toMatchObject([{ judged: 1, refused: 1 }]);
    expect(await lake.ledger.rawRows('select reason, count(*)::int as n from quarantine group by 1')).toEqual([{ reason: 'malformed', n: 1 }]); // oxfmt-ignore
  });

  test('is recorded for each file again when the ledger is rebuilt from the files', async () => {
    await using lake = await scratchLake({ ...DAILY, ...under(HASH) });
    await load(lake, DAY, [JANE]);
    const before = await lake.ledger.rawRows('select promotion, privacy from partitions');
    expect(text(before[0] ?? {}, 'privacy')).toMatch(/^[0-9a-f]{16}$/);
    await lake.ledger.close();
    await repair(lake.dir, LAKE_SETTINGS, lake.runtime);
    await lake.reopen(under(HASH));
    expect(await lake.ledger.rawRows('select promotion, privacy from partitions')).toEqual(before);
    expect(await rebuildDue(lake.ledger)).toEqual([]);
    expect(existsSync(join(lake.dir, FOLDER, '2026-07-03.1.parquet'))).toBe(true);
  });
});
