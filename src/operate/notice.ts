/**
 * How a run ended, for people and programs elsewhere. Only names, counts and codes: never a message, which could contain a path,
 * and never a row.
 */
import { EXIT } from '../kernel/errors.ts';
import { plural } from '../kernel/plural.ts';
import { countChecks } from '../model/check-counts.ts';
import type { RunReport, TableReport } from '../model/report.ts';

/** What a run ended with, as plain data. Undefined figures: the run could not start. */
export interface Figures {
  readonly tables: readonly {
    readonly tenant: string;
    readonly table: string;
    readonly outcome: TableReport['outcome'];
    readonly partialHours: number;
    readonly failure?: string;
  }[];
  readonly rowsLoaded: number;
  /** Checks that failed or could not run. */
  readonly checks: { readonly errors: number; readonly warnings: number; readonly notRun: number };
  /** Changes in the shape of the rows. */
  readonly schemaChanges: number;
  /** Hours that the source deleted before they were proven. */
  readonly expiredHours: number;
}

export function figuresOf(report: RunReport | undefined): Figures {
  const tables = report?.tables ?? [];
  return {
    tables: tables.map(({ tenant, table, outcome, hours, error }) => ({
      tenant,
      table,
      outcome,
      partialHours: hours.partial,
      ...(error ? { failure: error.failure } : {}),
    })),
    rowsLoaded: tables.reduce((sum, { inserted, replaced }) => sum + inserted + replaced, 0),
    checks: countChecks(report?.checks ?? []),
    schemaChanges: report?.drift.length ?? 0,
    expiredHours: (report?.expired ?? []).reduce((sum, { hours }) => sum + hours, 0),
  };
}

/** The run is not complete, and the next one continues where it ended. */
export const UNFINISHED: ReadonlySet<number> = new Set([EXIT.partial, EXIT.budget]);

export function titleOf(exitCode: number): string {
  if (exitCode === EXIT.ok) return 'a run succeeded';
  return UNFINISHED.has(exitCode) ? 'a run left work for the next one' : 'a run failed';
}

/** A chat shows a few lines at once. */
const MOST_TABLES = 10;

/** The same as a few lines of text. `title` says what has changed. */
export function noticeText(title: string, exitCode: number, run: string | undefined, figures: Figures): string {
  const { tables, rowsLoaded, checks, schemaChanges, expiredHours } = figures;
  const failure = Object.entries(EXIT).find(([, code]) => code === exitCode)?.[0] ?? 'unknown';
  const unverified = tables.filter(({ outcome }) => outcome !== 'verified');
  const failed = checks.errors + checks.warnings;
  const counts = [
    ...(tables.length === 0
      ? []
      : [`${tables.length - unverified.length} of ${plural(tables.length, 'table')} verified`]),
    plural(rowsLoaded, 'row') + ' loaded',
    ...(expiredHours > 0 ? [`${plural(expiredHours, 'hour')} lost at the source`] : []),
    ...(failed > 0 ? [`${plural(failed, 'check')} failed`] : []),
    ...(checks.notRun > 0 ? [`${plural(checks.notRun, 'check')} could not run`] : []),
    ...(schemaChanges > 0 ? [plural(schemaChanges, 'schema change')] : []),
  ];
  const lines = unverified.map(({ tenant, table, outcome, partialHours, failure: why }) => {
    const details = [
      ...(why === undefined ? [] : [why]),
      ...(partialHours > 0 ? [plural(partialHours, 'partial hour')] : []),
    ];
    return `${tenant} ${table}: ${outcome}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
  });
  const more = lines.length - MOST_TABLES;
  return [
    `insights-etl: ${title}, exit code ${exitCode}${exitCode === EXIT.ok ? '' : ` (${failure})`}${run === undefined ? '' : `, run ${run}`}`,
    ...(run === undefined ? [] : [counts.join(' · ')]),
    ...lines.slice(0, MOST_TABLES),
    ...(more > 0 ? [`and ${plural(more, 'more table')}`] : []),
  ].join('\n');
}
