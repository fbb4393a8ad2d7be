import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { heldHours, recordComparison } from '../../src/load/hours.ts';
import { at, event, load, metric, scratchLake, sourceHours, span, storedRows, TENANT } from './support/lake.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');

async function ids(scratch: { ledger: Parameters<typeof storedRows>[0] }): Promise<unknown[]> {
  return (await storedRows(scratch.ledger)).map((row) => row['event_id']);
}

describe('a first load', () => {
  test('puts every row of the batch into one file per UTC day', async () => {
    await using lake = await scratchLake();
    const result = await load(lake, span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z'), [
      event('A', '2026-07-03T10:00:00.1234567Z', { properties: '{"é":"漢字 \\" \\n"}' }),
      event('b', '2026-07-04T23:59:59.9999999Z'),
    ]);
    expect(result).toMatchObject({ inserted: 2, removed: 0, duplicates: 0, quarantined: 0, days: 2 });
    expect(await storedRows(lake.ledger)).toEqual([
      {
        event_id: 'a',
        timestamp: '2026-07-03 10:00:00.123456+00',
        source_tenant_id: TENANT,
        event_type: 'pass.created',
        operation_id: 'op',
        properties: '{"é":"漢字 \\" \\n"}',
      },
      {
        event_id: 'b',
        timestamp: '2026-07-04 23:59:59.999999+00',
        source_tenant_id: TENANT,
        event_type: 'pass.created',
        operation_id: 'op',
        properties: '{"a":1}',
      },
    ]);
    expect(existsSync(join(lake.dir, 'store/events/tenant_id=acme/month=2026-07/2026-07-03.1.parquet'))).toBe(true);
  });
});
