/** `privacy audit`: finds stored values that look like personal data and have no rule. Sends no calls. */
import { Command, Option } from 'commander';
import { json } from '../output/format.ts';
import { auditSummary } from '../output/privacy.ts';
import { wholeNumber } from './numbers.ts';
import { tableOption } from './run.ts';
import { tableNamed } from './select.ts';
import { act, type Shell } from './shell.ts';

interface AuditOptions {
  readonly table?: readonly string[];
  readonly tenant?: string;
  readonly rows: number;
}

export function privacyCommand(shell: Shell): Command {
  const audit = new Command('audit')
    .description(
      'List paths without a rule whose values look like e-mail addresses, phone numbers, IP addresses or user agents',
    )
    .addOption(tableOption())
    .option('--tenant <id>', 'only this tenant')
    .addOption(
      new Option('--rows <count>', 'examine at most this many rows of each type, sampled by id')
        .argParser(wholeNumber(1, 999_999_999))
        .default(10_000),
    )
    .addHelpText(
      'after',
      `
It examines \`properties\` and counts values without printing any. Paths are printed in the syntax of a rule.

Examples:
  $ insights-etl privacy audit
  $ insights-etl privacy audit --table Events --rows 1000000 --json`,
    )
    .action(({ table, tenant, rows }: AuditOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const request = {
          rows,
          ...(table === undefined ? {} : { tables: table.map(tableNamed) }),
          ...(tenant === undefined ? {} : { tenant }),
        };
        const { auditPrivacy } = await import('../pipeline/maintenance/privacy-audit.ts');
        const report = await auditPrivacy(session.config, request, session.signal);
        session.print(session.json ? `${json(report)}\n` : auditSummary(report, session.style));
        return 0;
      }),
    );
  return new Command('privacy').addCommand(audit);
}
