/**
 * Reports by name: those of the program, which keep the names that they had in earlier versions, and those of the operator. A
 * former name, and a file that is skipped, print a warning on standard error.
 */
import { formerMarts } from '../query/definitions.ts';
import { ConfigError } from '../kernel/errors.ts';
import { customFiles, warnOfBroken } from '../query/custom.ts';
import { findReport, listReports, reportOf, type Report } from '../query/report.ts';
import type { Session } from './shell.ts';

type Warner = Pick<Session, 'runtime'>;
type Owner = Pick<Session, 'runtime' | 'config'>;

/** A report by its name or by a former one. */
export async function reportNamed(session: Owner, name: string): Promise<Report> {
  const { runtime } = session;
  // The operator's files are read only for a name that the program does not have.
  const isShipped = (await listReports()).some((known) => [known.name, ...known.formerNames].includes(name));
  const report = await findReport(name, isShipped ? [] : await ownReports(session, 'kpi', name));
  if (report.name !== name)
    runtime.log.warn({ event: 'name.former' }, `Report "${name}" is now called "${report.name}".`);
  return report;
}

/** Warns if a statement, or a list of tables, names a mart as it was called before. */
export async function warnOfFormerMarts({ runtime }: Warner, text: string): Promise<void> {
  if (!text.includes('mart_')) return;
  for (const [former, name] of await formerMarts())
    if (new RegExp(`\\bmart_${former}\\b`, 'i').test(text))
      runtime.log.warn({ event: 'name.former' }, `mart_${former} is now called mart_${name}.`);
}

/**
 * The reports or checks of the operator. Those that cannot be used are skipped with a warning. Throws ConfigError if `wanted`
 * is one of them.
 */
export async function ownReports(
  { config, runtime }: Owner,
  kind: 'checks' | 'kpi',
  wanted?: string,
): Promise<Report[]> {
  const custom = await customFiles(kind === 'kpi' ? config.reports : config.checks, kind);
  const named = custom.broken.find(({ name }) => name === wanted);
  if (named)
    throw new ConfigError(`"${named.name}" cannot be used. ${named.reason}`, {
      hint: 'Correct the file.',
      where: { file: named.file },
    });
  warnOfBroken(custom, runtime);
  return custom.files.map(reportOf);
}
