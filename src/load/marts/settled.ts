/**
 * Whether marts and checks are up to date, without planning them: a run with nothing new spends more time on their plans than on
 * anything else. A run whose plans find nothing to do notes a digest of what they depend on. As long as that and the content
 * of the lake are the same, later runs skip the plans.
 */
import { createHash } from 'node:crypto';
import { writtenBy } from '../../kernel/version.ts';
import { shippedTexts } from '../../query/definitions.ts';
import type { Check } from '../../query/definitions.ts';
import { asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { usableFiles } from './custom.ts';
import { rowRulesOf } from './mart-files.ts';
import { rulesOfScope } from './split-scope.ts';

/**
 * Changes with everything that marts and checks depend on, except the content of the lake and the shared definitions (`contentKey`
 * in publish.ts). A large tenant gets some marts once a day, so it changes with the day.
 */
export async function settledKey(ledger: Ledger, checks: readonly Check[] | undefined): Promise<string> {
  const { marts, splitMarts, dailyAbove, checks: isChecked } = ledger.settings;
  const { days } = await ledger.row(
    `select concat_ws(' ',
       (select count(*) || ' ' || coalesce(sum(hash(mart, tenant, day, source)), 0) from mart_days),
       (select count(*) || ' ' || coalesce(sum(hash(mart, file, rows, days)), 0) from mart_files where superseded_at is null),
       (select count(*) || ' ' || coalesce(sum(hash(tenant, day, source)), 0) from check_days)) as days`,
    { days: asText },
  );
  // Whole texts: what the program makes of them takes longer than all else here.
  const custom = [await usableFiles(ledger, 'reports'), await usableFiles(ledger, 'checks')];
  const texts = custom.map(({ files }) => files.map(({ name, sql }) => [name, sql]));
  const parts = [
    writtenBy(),
    [marts, splitMarts, dailyAbove, isChecked],
    rowRulesOf(ledger),
    await shippedTexts(),
    texts,
    checks,
    rulesOfScope(),
    new Date(ledger.runtime.now()).toISOString().slice(0, 10),
    days,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
