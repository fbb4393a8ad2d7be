/** The results of the checks for people. Checks that pass are omitted. */
import type { CheckResult, CheckStatus } from '../model/report.ts';
import { count, plural } from '../kernel/plural.ts';
import { andMore } from './format.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';

/** Lines shown at most; `insights-etl sql` shows the rest. */
const SHOWN = 20;

type CheckOutcome = CheckResult | CheckStatus;

/** Empty if no check failed. */
export function checksText(checks: readonly CheckOutcome[], title: string, style: Style): string {
  const failed = checks.filter(({ failures, error }) => failures > 0 || error !== undefined);
  if (failed.length === 0) return '';
  const columns = [
    { title: 'tenant' },
    { title: 'check' },
    { title: 'severity', rank: 1 },
    { title: 'rows', align: 'right' as const },
    { title: 'where', wraps: true },
  ];
  const rows = failed
    .slice(0, SHOWN)
    .map((outcome) => [
      outcome.tenant,
      outcome.check,
      outcome.severity,
      outcome.failures > 0 ? count(outcome.failures) : '',
      whereOf(outcome),
    ]);
  const more =
    failed.length > SHOWN ? `… ${andMore(failed.length - SHOWN)}: insights-etl sql "from check_failures"\n` : '';
  return `\n${title}; \`insights-etl check\` shows the rows:\n${renderTable(columns, rows, style)}${more}`;
}

function whereOf(outcome: CheckOutcome): string {
  if (outcome.error !== undefined) return `could not run: ${outcome.error}`;
  if ('days' in outcome) return `in the ${plural(outcome.days, 'day')} checked`;
  const { firstDay = '', lastDay } = outcome;
  return firstDay === lastDay ? firstDay : `${firstDay} to ${lastDay}`;
}
