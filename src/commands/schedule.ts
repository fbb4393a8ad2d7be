/** `schedule`: the process that stays and runs at each slot of a cron expression. */
import { Command } from 'commander';
import { keyOf, type Due, type Planned } from '../schedule/agenda.ts';
import type { Config } from '../config/config.ts';
import { runDaemon } from '../schedule/daemon.ts';
import { parseSchedule } from '../schedule/cron.ts';
import { watchTraffic } from '../operate/traffic.ts';
import { observing } from './health.ts';
import { runAndTell } from './run.ts';
import { act, type Shell } from './shell.ts';

interface Options {
  readonly cron?: string;
  readonly timeZone?: string;
  readonly once?: boolean;
}

export function scheduleCommand(shell: Shell): Command {
  return new Command('schedule')
    .description('Stay, and run at each slot of a cron expression; SIGTERM ends cleanly')
    .option('--cron <expression>', 'minute hour day month weekday (default: `schedule.cron`, "0 3 * * *")')
    .option('--time-zone <zone>', 'zone of the expression (default: `schedule.timeZone`, UTC)')
    .option('--once', 'run what is due now, if anything, and end')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl schedule
  $ insights-etl schedule --cron "15 */6 * * *" --time-zone Europe/Paris

A slot that was missed is caught up at the next start, several of them by one run. A tenant's or a table's own schedule
in the configuration goes before these flags.`,
    )
    .action((options: Options, command: Command) => {
      const flags = [
        { key: 'schedule.cron', value: options.cron, flag: '--cron' },
        { key: 'schedule.timeZone', value: options.timeZone, flag: '--time-zone' },
      ];
      return act(shell, command, { tenants: true, flags }, async (session) => {
        const { config, runtime, signal } = session;
        const traffic = watchTraffic(runtime);
        return observing(session, traffic, (watch) =>
          runDaemon(
            {
              planned: plannedOf(config),
              dataDir: config.dataDir,
              once: options.once === true,
              jitterMs: config.schedule.jitterSeconds * 1000,
              run: (due) => runAndTell({ ...session, config: narrowed(config, due) }, {}, traffic),
              watch,
            },
            runtime,
            signal,
          ),
        );
      });
    });
}

/** Every table of every tenant with its own schedule. Throws ConfigError for one that cannot be used. */
function plannedOf(config: Config): Planned[] {
  parseSchedule(config.schedule);
  const known = new Set<string>();
  return config.tenants.flatMap(({ id, tables, quiet }) =>
    [...tables].map(([table, { schedule }]) => {
      const text = JSON.stringify(schedule);
      if (!known.has(text)) parseSchedule(schedule, { tenant: id, table });
      known.add(text);
      return { tenant: id, table, schedule, quiet };
    }),
  );
}

/** The configuration with the tables alone that are due. */
function narrowed(config: Config, due: readonly Due[]): Config {
  const keys = new Set(due.map(keyOf));
  const tenants = config.tenants.map((tenant) => ({
    ...tenant,
    tables: new Map([...tenant.tables].filter(([table]) => keys.has(keyOf({ tenant: tenant.id, table })))),
  }));
  return { ...config, tenants: tenants.filter(({ tables }) => tables.size > 0) };
}
