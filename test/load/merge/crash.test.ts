/** Invariant 3: after a kill between any two steps, the next run ends in the state of an undisturbed run. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { mergeBatch } from '../../../src/load/merge/merge.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import type { Batch, LandedPage } from '../../../src/model/page.ts';
import { caseOfMany } from '../../support/campaign.ts';
import {
  at,
  DAILY,
  event,
  landPage,
  load,
  scratchLake,
  sourceHours,
  span,
  storedRows,
  TENANT,
} from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const WINDOW = span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z');
const FIRST = [
  event('a', '2026-07-03T10:10:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
  event('gone', '2026-07-04T12:00:00Z'),
];
const SECOND = [
  event('a', '2026-07-03T10:10:00Z', { properties: '{"a":2}' }),
  event('b', '2026-07-04T11:00:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
  event('', '2026-07-04T11:30:00Z'),
  event('late', '2026-07-03T10:40:00Z'),
];

class Killed extends Error {}

/** One run over a landed batch, from recovery to the head, optionally killed at a step. Returns the steps that it passed. */
async function run(lake: Scratch, batch: Batch, landed: readonly LandedPage[], killAt?: number): Promise<string[]> {
  const steps: string[] = [];
  const onStep = (step: string): void => {
    steps.push(step);
    if (steps.length - 1 === killAt) throw new Killed(step);
  };
  await recover(lake.ledger);
  await mergeBatch(lake.ledger, batch, landed, { run: 'run-2', onStep });
  await recordComparison(
    lake.ledger,
    TENANT,
    'Events',
    {
      at: at('2026-08-01T00:00:00Z'),
      spans: [WINDOW],
      grade: 'checksum',
      hours: sourceHours(SECOND),
    },
    'run-2',
  );
  await publish(lake.ledger, { run: 'run-2', head: true, onStep });
  return steps;
}

interface Prepared extends AsyncDisposable {
  readonly lake: Scratch;
  readonly batch: Batch;
  readonly landed: readonly LandedPage[];
}

async function prepared(): Promise<Prepared> {
  const lake = await scratchLake({ ...DAILY, keepHours: 0 });
  await load(lake, WINDOW, FIRST, { id: 'first' });
  await publish(lake.ledger, { run: 'run-1', head: true });
  const page = await landPage(lake.dir, [WINDOW], SECOND);
  return {
    lake,
    batch: { id: 'second', tenant: TENANT, table: 'Events', windows: [WINDOW], pages: [page.page] },
    landed: [page],
    [Symbol.asyncDispose]: () => lake[Symbol.asyncDispose](),
  };
}

/** Everything that a reader or the next run can see, without the generation numbers in file names. */
async function state(lake: Scratch): Promise<object> {
  const names = readdirSync(lake.dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('landing'))
    .map((entry) => join(entry.parentPath, entry.name).slice(lake.dir.length))
    .sort();
  const manifest = JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8'));
  return {
    rows: await storedRows(lake.ledger),
    hours: await heldHours(lake.ledger, TENANT, 'Events'),
    duplicates: await lake.ledger.rawRows('select * from duplicates'),
    quarantine: await lake.ledger.rawRows('select reason, raw from quarantine'),
    files: names.map((name) => name.replace(/\.\d+\.parquet$/, '.parquet').replace(/\/v\d+\//, '/v/')),
    sums: manifest.tables.events.tenants[TENANT].partitions.map(
      ({ file, sha256 }: { file: string; sha256: string }) =>
        sha256 ===
        createHash('sha256')
          .update(readFileSync(join(lake.dir, file)))
          .digest('hex'),
    ),
  };
}

const STEPS = [
  'staged', 'compared', 'copied 2026-07-03', 'copied 2026-07-04', 'named 2', 'read back', 'recording', 'recorded',
  'marts', 'checks', 'catalogue', 'delta', 'manifest', 'snapshot', 'head',
]; // oxfmt-ignore
const REPRESENTATIVES = ['recorded'];

describe('a run killed at any step', () => {
  let steps: string[];
  let expected: object;
  beforeAll(async () => {
    await using undisturbed = await prepared();
    steps = await run(undisturbed.lake, undisturbed.batch, undisturbed.landed);
    expected = await state(undisturbed.lake);
  });

  test('passes through these steps', () => {
    expect(steps).toEqual(STEPS);
  });

  for (const [index, step] of STEPS.entries())
    test(
      `at "${step}" is made good by the next one: same rows, same accounts, same files, nothing left over`,
      caseOfMany(index, REPRESENTATIVES.includes(step)),
      async () => {
        await using killed = await prepared();
        const { lake, batch, landed } = killed;
        const end = await run(lake, batch, landed, index).catch((error: unknown) => error);
        expect(end).toEqual(new Killed(step));
        await lake.reopen();
        await run(lake, batch, landed);
        expect(await state(lake)).toEqual(expected);
      },
    );
});

describe('recovery', () => {
  test('removes unfinished files and generations that the ledger does not know, and nothing else', async () => {
    await using loaded = await prepared();
    const { lake } = loaded;
    const folder = join(lake.dir, 'store/events/tenant_id=acme/month=2026-07');
    const before = readdirSync(folder);
    writeFileSync(join(folder, '2026-07-03.9.parquet'), 'orphan');
    writeFileSync(join(folder, '2026-07-03.9.parquet.tmp'), 'half');
    writeFileSync(join(lake.dir, 'insights.duckdb.tmp'), 'half');
    writeFileSync(join(lake.dir, 'outcomes.json.tmp'), 'half');
    writeFileSync(join(lake.dir, 'lake/events/v1/tenant_id=acme/month=2026-07/2026-07-03.parquet.tmp'), 'half');
    expect(await recover(lake.ledger)).toEqual({ orphans: 1, temporary: 4, lost: 0 });
    expect(readdirSync(folder)).toEqual(before);
    expect(readdirSync(lake.dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(await recover(lake.ledger)).toEqual({ orphans: 0, temporary: 0, lost: 0 });
  });

  test('notices that a current file is missing or truncated: its hours are partial and empty until they are fetched again', async () => {
    await using loaded = await prepared();
    const { lake } = loaded;
    writeFileSync(join(lake.dir, 'store/events/tenant_id=acme/month=2026-07/2026-07-03.1.parquet'), 'cut');
    expect(await recover(lake.ledger)).toMatchObject({ lost: 1 });
    const hour = at('2026-07-03T10:00:00Z');
    expect((await heldHours(lake.ledger, TENANT, 'Events')).get(hour)).toMatchObject({ rows: 0, state: 'partial' });
    await load(lake, span('2026-07-03T10:00:00Z', '2026-07-03T11:00:00Z'), [event('a', '2026-07-03T10:10:00Z')]);
    expect((await heldHours(lake.ledger, TENANT, 'Events')).get(hour)).toMatchObject({ rows: 1 });
  });
});
