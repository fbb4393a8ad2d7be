/** `privacy`: what of the stored rows looks personal and has no rule. Asks the source nothing. */
import { Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { auditSummary } from '../output/privacy.ts';
import { tableNamed } from './select.ts';
import { act, type Shell } from './shell.ts';

interface Wanted {
  readonly table?: readonly string[];
  readonly tenant?: string;
  readonly rows: string;
}

const ROWS = 10_000;

export function privacyCommand(shell: Shell): Command {
  const audit = new Command('audit')
    .description(
      'List paths that look like e-mail addresses, phone numbers, IP addresses or user agents and have no rule',
    )
    .option('--table <name...>', 'only these tables: Logs, Events, Metrics')
    .option('--tenant <id>', 'one tenant alone')
    .option('--rows <count>', 'look at so many rows of a type at most, chosen by id', String(ROWS))
    .addHelpText(
      'after',
      `
Counts values and prints none. Looks into \`properties\`; paths are spelt as a rule spells them.

Examples:
  $ insights-etl privacy audit
  $ insights-etl privacy audit --table Events --rows 1000000 --json`,
    )
    .action(({ table, tenant, rows }: Wanted, command: Command) =>
      act(shell, command, {}, async (session) => {
        const request = {
          rows: wholeNumber(rows),
          ...(table === undefined ? {} : { tables: table.map(tableNamed) }),
          ...(tenant === undefined ? {} : { tenant }),
        };
        const { auditPrivacy } = await import('../pipeline/maintenance/privacy-audit.ts');
        const report = await auditPrivacy(session.config, request, session.signal);
        session.print(session.json ? `${json(report)}\n` : auditSummary(report, session.colour));
        return 0;
      }),
    );
  return new Command('privacy').description('What looks personal and is stored as it came').addCommand(audit);
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new ConfigError(`"${text}" is not a number of rows.`, {
    hint: 'A whole number from 1 on.',
    where: { flag: '--rows' },
  });
}
