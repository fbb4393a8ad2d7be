/** `quarantine`: the rows that could not be loaded, and what a person decides about them. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { dropText, quarantineList, quarantinedRowsText, replayText } from '../output/quarantine.ts';
import { visibleJson } from '../output/visible.ts';
import type { QuarantineFilter } from '../pipeline/maintenance/quarantine.ts';
import { REASONS } from '../model/page.ts';
import { selectInstant, tableNamed } from './select.ts';
import { act, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly reason?: readonly string[];
  readonly before?: string;
}

const SHOWN = 20;

export function quarantineCommand(shell: Shell): Command {
  const verb = (name: string, description: string, example: string): Command =>
    new Command(name)
      .description(description)
      .option('--tenant <glob...>', 'only these tenants (* and ? allowed)')
      .option('--table <name...>', 'only these tables: Logs, Events, Metrics')
      .addOption(new Option('--reason <name...>', 'only rows refused for these reasons').choices(REASONS))
      .option('--before <instant>', 'only rows before this instant, UTC')
      .addHelpText('after', `\nExamples:\n  $ insights-etl quarantine ${example}`);
  const pipeline = (): Promise<typeof import('../pipeline/maintenance/quarantine.ts')> =>
    import('../pipeline/maintenance/quarantine.ts');

  const list = verb(
    'list',
    'Count the rows in quarantine by tenant, table, day and reason',
    'list --reason foreign_tenant',
  ).action((options: Selection, command: Command) =>
    act(shell, command, {}, async (session) => {
      const { listQuarantine } = await pipeline();
      const counts = await listQuarantine(session.config, filterOf(options), session.runtime);
      session.print(session.json ? `${json(counts)}\n` : quarantineList(counts, session.colour));
      return 0;
    }),
  );

  const show = verb(
    'show',
    'Print rows in quarantine with their text: they may hold personal data',
    'show --table Events --limit 5',
  )
    .option('--limit <rows>', 'at most so many rows', String(SHOWN))
    .action((options: Selection & { readonly limit: string }, command: Command) =>
      act(shell, command, {}, async (session) => {
        const limit = wholeNumber(options.limit);
        const { showQuarantine, listQuarantine } = await pipeline();
        const filter = filterOf(options);
        const rows = await showQuarantine(session.config, filter, limit, session.runtime);
        if (session.json) session.print(`${visibleJson(json(rows))}\n`);
        else {
          const counts = await listQuarantine(session.config, filter, session.runtime);
          const all = counts.reduce((sum, entry) => sum + entry.rows, 0);
          session.print(quarantinedRowsText(rows, all - rows.length));
        }
        return 0;
      }),
    );

  const replay = verb(
    'replay',
    'Judge rows again by the rules of today and load those that pass; asks the source nothing',
    'replay --tenant riviera-paris',
  ).action((options: Selection, command: Command) =>
    act(shell, command, {}, async (session) => {
      const { replayQuarantine } = await pipeline();
      const report = await replayQuarantine(session.config, filterOf(options), session.runtime);
      session.print(session.json ? `${json(report)}\n` : replayText(report.tables, report.published, session.colour));
      return 0;
    }),
  );

  const drop = verb(
    'drop',
    'Give rows up: their text is deleted, the accounts of their hours stay as they are',
    'drop --before 2026-01-01 --yes',
  )
    .option('--yes', 'yes, delete')
    .action((options: Selection & { readonly yes?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (options.yes !== true)
          throw new ConfigError('`quarantine drop` deletes what cannot be had again.', {
            hint: `Look with \`insights-etl quarantine list\` and the same filters, then add --yes.`,
            where: { flag: '--yes' },
          });
        const { dropQuarantine } = await pipeline();
        const dropped = await dropQuarantine(session.config, filterOf(options), session.runtime);
        session.print(session.json ? `${json(dropped)}\n` : dropText(dropped, session.colour));
        return 0;
      }),
    );

  const outer = new Command('quarantine')
    .description('Rows that could not be loaded: list, show, replay, drop')
    .addHelpText('after', '\nExamples:\n  $ insights-etl quarantine list\n  $ insights-etl quarantine replay');
  for (const command of [list, show, replay, drop]) outer.addCommand(command);
  return outer;
}

function filterOf({ tenant, table, reason, before }: Selection): QuarantineFilter {
  return {
    ...(tenant ? { tenants: tenant } : {}),
    ...(table ? { tables: table.map(tableNamed) } : {}),
    ...(reason ? { reasons: reason } : {}),
    ...(before === undefined ? {} : { before: selectInstant(before, '--before') }),
  };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new ConfigError(`"${text}" is not a number of rows.`, { where: { flag: '--limit' } });
}
