/** `config check` and `config show`: what the configuration says, without a call and without touching the data directory. */
import { Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { plural } from '../kernel/plural.ts';
import { json } from '../output/format.ts';
import { renderTable } from '../output/table.ts';
import { checkSchedules } from './schedule.ts';
import { selectTenants } from './select.ts';
import { sourcesFor } from './session.ts';
import { act, type Session, type Shell } from './shell.ts';

export function configCommand(shell: Shell): Command {
  const check = new Command('check')
    .description('Check file, environment and flags, and report every mistake with its line')
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config } = session;
        checkSchedules(config);
        await requireUsable(config);
        const { file, dataDir, tenants } = config;
        if (session.json) session.print(`${json({ file, dataDir, tenants: tenants.map(({ id }) => id) })}\n`);
        else
          session.print(
            `${file ?? 'no configuration file'}: no mistakes; ${plural(tenants.length, 'tenant')}, data directory ${dataDir}\n`,
          );
        return 0;
      }),
    );
  const show = new Command('show')
    .description('Show the settings in force and where each comes from; secrets are not read')
    .option('--tenant <glob...>', 'the settings that apply to these tenants; * and ? are wildcards')
    .option('--changed', 'only what differs from the defaults')
    .addHelpText(
      'after',
      "\nExamples:\n  $ insights-etl config show --changed\n  $ insights-etl config show --tenant 'riviera-*'",
    )
    .action((options: { readonly tenant?: readonly string[]; readonly changed?: boolean }, command: Command) =>
      act(shell, command, {}, (session) => printSettings(session, command, options)),
    );
  return new Command('config')
    .addCommand(check)
    .addCommand(show)
    .addHelpText('after', '\nExamples:\n  $ insights-etl config check\n  $ insights-etl config show --changed');
}

/** Throws ConfigError if a custom report or check cannot be used. What tables it reads is known only when it runs. */
async function requireUsable({ reports, checks }: Session['config']): Promise<void> {
  const { customFiles } = await import('../query/custom.ts');
  const found = [await customFiles(reports, 'kpi'), await customFiles(checks, 'checks')].flatMap(
    ({ broken }) => broken,
  );
  const [first] = found;
  if (first === undefined) return;
  throw new ConfigError(
    found.length === 1
      ? 'A custom report or check cannot be used.'
      : `${found.length} custom reports or checks cannot be used.`,
    {
      hint: found.map(({ file, reason }) => `${file}: ${reason}`).join('\n       '),
      where: { file: first.file },
    },
  );
}

async function printSettings(
  session: Session,
  command: Command,
  { tenant: globs, changed }: { readonly tenant?: readonly string[]; readonly changed?: boolean },
): Promise<number> {
  const { settingsInForce, settingsOfTenant } = await import('../config/show.ts');
  const sources = sourcesFor(command.optsWithGlobals(), {}, session.io);
  const ids = globs === undefined ? [undefined] : selectTenants(session.config, globs);
  const groups = ids.map((id) => {
    const all = id === undefined ? settingsInForce(sources) : settingsOfTenant(sources, session.config, id);
    return {
      ...(id === undefined ? {} : { tenant: id }),
      settings: all.filter(({ from }) => changed !== true || from !== 'default'),
    };
  });
  if (session.json) {
    session.print(
      `${json(groups.flatMap(({ settings, ...of }) => settings.map((setting) => ({ ...of, ...setting }))))}\n`,
    );
    return 0;
  }
  const { file = '(none)' } = session.config;
  session.print(`configuration file: ${file}\n`);
  for (const { tenant: id, settings } of groups) {
    const rows = settings.map(({ key, value, from }) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
      from === 'default' ? from : Object.entries(from).filter(([kind]) => kind !== 'file').map(([kind, name]) => `${kind} ${name}`).join(', ') || 'file',
    ]); // oxfmt-ignore
    session.print(`\n${id === undefined ? '' : `tenant ${id}\n`}`);
    session.print(
      renderTable([{ title: 'key' }, { title: 'value', wraps: true }, { title: 'from' }], rows, session.style),
    );
  }
  return 0;
}
