/** What the checks say, for people; those that pass are not named. */
import type { CheckStatus, RunReport } from '../model/report.ts';
import { count, plural } from './format.ts';
import { renderTable } from './table.ts';

/** More of them than this are read with `insights-etl sql`. */
const SHOWN = 20;

type Told = RunReport['checks'][number] | CheckStatus;

/** Nothing where nothing failed. */
export function checksText(checks: readonly Told[], title: string, colour: boolean): string {
  const failed = checks.filter(({ failures, error }) => failures > 0 || error !== undefined);
  if (failed.length === 0) return '';
  const columns = [
    { title: 'tenant' },
    { title: 'check' },
    { title: 'severity' },
    { title: 'rows', align: 'right' as const },
    { title: 'where' },
  ];
  const rows = failed
    .slice(0, SHOWN)
    .map((told) => [
      told.tenant,
      told.check,
      told.severity,
      told.failures > 0 ? count(told.failures) : '',
      whereOf(told),
    ]);
  const more =
    failed.length > SHOWN
      ? `… and ${plural(failed.length - SHOWN, 'more')}: insights-etl sql "from check_failures"\n`
      : '';
  return `\n${title}; \`insights-etl check\` shows the rows:\n${renderTable(columns, rows, colour)}${more}`;
}

function whereOf(told: Told): string {
  const days =
    'days' in told
      ? `in the ${plural(told.days, 'day')} looked at`
      : told.firstDay === told.lastDay
        ? (told.firstDay ?? '')
        : `${told.firstDay} to ${told.lastDay}`;
  if (told.error === undefined) return days;
  return `could not run: ${told.error}`;
}
