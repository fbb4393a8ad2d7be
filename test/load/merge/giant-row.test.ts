import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { mergeBatch } from '../../../src/load/merge/merge.ts';
import type { Batch } from '../../../src/model/page.ts';
import { event, landPage, scratchLake, span, TENANT } from '../support/lake.ts';

test('a row too large for the engine gets its page refused; the lake is unchanged and the other pages load', async () => {
  await using lake = await scratchLake({ memoryLimit: '100MB' });
  const [first, second] = [span('2026-07-01T00:00:00Z', '2026-07-01T12:00:00Z'), span('2026-07-01T12:00:00Z', '2026-07-02T00:00:00Z')]; // oxfmt-ignore
  const giant = event('2', '2026-07-01T13:00:00Z', { properties: JSON.stringify({ note: 'x'.repeat(20_000_000) }) });
  const good = await landPage(lake.dir, [first], [event('1', '2026-07-01T10:00:00Z')]);
  const bad = await landPage(lake.dir, [second], [event('3', '2026-07-01T12:00:00Z'), giant]);
  const batch: Batch = { id: 'b', tenant: TENANT, table: 'Events', windows: [first, second], pages: [good.page, bad.page] }; // oxfmt-ignore
  await expect(mergeBatch(lake.ledger, batch, [good, bad], { run: 'r' })).rejects.toMatchObject({
    failure: 'source',
    message: expect.stringMatching(/^A row of 20 MB .* 100MB/),
    hint: expect.stringContaining('engine.memoryLimit'),
    where: { page: bad.page.id },
  });
  expect([existsSync(good.file), existsSync(bad.file)]).toEqual([true, false]);
  expect(await lake.ledger.rawRows('select count(*)::int as n from partitions')).toEqual([{ n: 0 }]);
  const rest: Batch = { ...batch, windows: [first], pages: [good.page] };
  expect(await mergeBatch(lake.ledger, rest, [good], { run: 'r' })).toMatchObject({ inserted: 1 });
});
