/** Reports and marts keep the names that they had in earlier versions. Using one prints a warning on standard error. */
import { formerMarts } from '../query/definitions.ts';
import { findReport, type Report } from '../query/report.ts';
import type { Session } from './shell.ts';

type Warner = Pick<Session, 'runtime'>;

/** A report by its name or by a former one. */
export async function reportNamed({ runtime }: Warner, name: string): Promise<Report> {
  const report = await findReport(name);
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
