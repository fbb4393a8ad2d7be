/** A run with nothing new skips the plans of marts and checks, and any change of what they depend on brings them back. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { settledKey } from '../../../src/load/marts/settled.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import { event, load, scratchLake, span, type Scratch } from '../support/lake.ts';

const DAY = span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z');
const created = (n: number): unknown[] => event(`e${n}`, `2026-07-01T0${n}:00:00Z`, { type: 'Pass:Created', properties: '{"passId":"p"}' }); // oxfmt-ignore

const CHECKS = [{ name: 'nothing', severity: 'error', sql: 'select tenant_id from events where false' }] as const;

let lake: Scratch;
let reports: string;
beforeAll(async () => {
  lake = await scratchLake({ marts: ['passes_created', 'mine'], checks: true });
  reports = join(lake.dir, 'reports');
  await mkdir(reports);
  await load(lake, DAY, [created(1)]);
});
afterAll(() => lake[Symbol.asyncDispose]());

async function isPlanned(signal?: AbortSignal): Promise<boolean> {
  let planned = false;
  const onStep = (step: string): void => {
    planned ||= step === 'marts';
  };
  await publish(lake.ledger, { run: 'r', head: true, checks: CHECKS, onStep, ...(signal ? { signal } : {}) });
  return planned;
}

/** A publish that plans, and brings everything up to date; after one more at most, plans are skipped. */
async function settle(): Promise<void> {
  expect(await isPlanned()).toBe(true);
  await isPlanned();
  expect(await isPlanned()).toBe(false);
}

test('plans are skipped when nothing has changed since they found nothing to do, and only then', CAMPAIGN, async () => {
  await settle();
  await load(lake, DAY, [created(1), created(2)]);
  expect(await isPlanned(AbortSignal.abort())).toBe(false);
  // The stopped publish has published the rows: the plans are still due.
  await settle();
});

test('a lost file, a forgotten day and another setting bring the plans back', CAMPAIGN, async () => {
  for (let n = 0; n < 2; n++) await isPlanned();
  expect(await isPlanned()).toBe(false);
  const names = await readdir(join(lake.dir, 'store/marts'), { recursive: true });
  const mart =
    names
      .filter((name) => name.endsWith('.parquet'))
      .toSorted()
      .at(-1) ?? '';
  await rm(join(lake.dir, 'store/marts', mart));
  await recover(lake.ledger);
  await settle();
  await lake.ledger.run('delete from check_days');
  await settle();
  await lake.reopen({ marts: ['passes_created', 'log_volume'] });
  await settle();
  await lake.reopen({ checks: false });
  await settle();
});

test('a report of the operator that cannot be computed is tried again by each run', CAMPAIGN, async () => {
  const parameters = ['from:date=null', 'to:date=null', 'zone:zone=UTC', 'grain:day|week|month=day']
    .map((each) => `-- parameter: ${each} P\n`)
    .join('');
  const text = (
    table: string,
  ): string => `-- title: T\n-- description: D\n-- grain: one row\n-- mart: day of events\n${parameters}
    select tenant_id, period_of(timestamp, $zone, $grain) as period, count(*) as n from ${table} where is_in_days(timestamp, $zone, $from, $to) group by all`;
  await writeFile(join(reports, 'mine.sql'), text('nowhere'));
  await lake.reopen({ custom: { reports } });
  for (let n = 0; n < 3; n++) expect(await isPlanned()).toBe(true);
  await writeFile(join(reports, 'mine.sql'), text('events'));
  await lake.reopen({ custom: { reports } });
  await settle();
  // A comment at the end does not spoil the statements around it.
  await writeFile(join(reports, 'mine.sql'), `${text('events')} -- changed`);
  await lake.reopen({ custom: { reports } });
  await settle();
});

test('the day belongs to what plans depend on, because large tenants get some marts once a day', async () => {
  const before = await settledKey(lake.ledger, undefined);
  expect(await settledKey(lake.ledger, undefined)).toBe(before);
  lake.clock.now += 86_400_000;
  expect(await settledKey(lake.ledger, undefined)).not.toBe(before);
});
