/** `quarantine`: lists, shows, replays and drops the rows that could not be loaded. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { dropText, quarantineList, quarantinedRowsText, replayText } from '../output/quarantine.ts';
import { visibleJson } from '../output/visible.ts';
import type { QuarantineFilter } from '../pipeline/maintenance/quarantine.ts';
import { REASONS } from '../model/page.ts';
import { wholeNumber } from './numbers.ts';
import { tableOption } from './run.ts';
import { selectInstant, tableNamed } from './select.ts';
import { act, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly reason?: readonly string[];
  readonly before?: string;
}

export function quarantineCommand(shell: Shell): Command {
  const verb = (name: string, description: string, example: string): Command =>
    new Command(name)
      .description(description)
      .option('--tenant <glob...>', 'only these tenants; * and ? are wildcards')
      .addOption(tableOption())
      .addOption(new Option('--reason <name...>', 'only rows with these reasons').choices(REASONS))
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
      session.print(session.json ? `${json(counts)}\n` : quarantineList(counts, session.style));
      return 0;
    }),
  );

  const show = verb(
    'show',
    'Print rows in quarantine with their text, which may contain personal data',
    'show --table Events --limit 5',
  )
    .addOption(new Option('--limit <rows>', 'print at most this many rows').argParser(wholeNumber(0)).default(20))
    .action((options: Selection & { readonly limit: number }, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { showQuarantine, listQuarantine } = await pipeline();
        const filter = filterOf(options);
        const rows = await showQuarantine(session.config, filter, options.limit, session.runtime);
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
    'Check rows again by the current rules and load those that pass; sends no calls',
    'replay --tenant riviera-paris',
  ).action((options: Selection, command: Command) =>
    act(shell, command, {}, async (session) => {
      const { replayQuarantine } = await pipeline();
      const report = await replayQuarantine(session.config, filterOf(options), session.runtime);
      session.print(
        session.json
          ? `${json(report)}\n`
          : session.withShard(replayText(report.tables, report.published, session.style)),
      );
      return 0;
    }),
  );

  const drop = verb(
    'drop',
    'Delete the text of rows permanently; verified hours stay verified',
    'drop --before 2026-01-01 --yes',
  )
    .option('--yes', 'confirm the deletion')
    .action((options: Selection & { readonly yes?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (options.yes !== true)
          throw new ConfigError('`quarantine drop` deletes rows permanently.', {
            hint: 'Check what it deletes with `insights-etl quarantine list` and the same filters, then add --yes.',
            where: { flag: '--yes' },
          });
        const { dropQuarantine } = await pipeline();
        const dropped = await dropQuarantine(session.config, filterOf(options), session.runtime);
        session.print(session.json ? `${json(dropped)}\n` : dropText(dropped, session.style));
        return 0;
      }),
    );

  const outer = new Command('quarantine').addHelpText(
    'after',
    '\nExamples:\n  $ insights-etl quarantine list\n  $ insights-etl quarantine replay',
  );
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
