/** What `doctor` found, as text. */
import type { DoctorCheck, DoctorReport } from '../model/report.ts';
import { folded } from './fold.ts';
import { plural } from '../kernel/plural.ts';
import type { Style } from './terminal.ts';
import { visibleLines } from './visible.ts';

export function doctorSummary(report: DoctorReport, style: Style): string {
  const lines = (checks: readonly DoctorCheck[]): string =>
    checks
      .map(
        ({ ok, name, detail, hint }) =>
          `  ${!ok ? 'FAIL' : hint === undefined ? 'ok  ' : 'note'}  ${name}: ${detail}${hint === undefined ? '' : `\n        next: ${hint}`}\n`,
      )
      .join('');
  const tenants = report.tenants.map(
    ({ tenant, calls, maxCalls, checks }) =>
      `${tenant} (${plural(calls, 'call')} of at most ${maxCalls})\n${lines(checks)}`,
  );
  return folded(visibleLines([`this machine\n${lines(report.machine)}`, ...tenants].join('\n')), style.width);
}
