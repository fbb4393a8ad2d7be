/** `schedule`: a process that stays up and runs at each slot of a cron expression. */
import { Command } from 'commander';
import { keyOf, type Due, type Planned } from '../schedule/agenda.ts';
import type { Config } from '../config/config.ts';
import { runDaemon } from '../schedule/daemon.ts';
import { parseSchedule } from '../schedule/cron.ts';
import { watchTraffic } from '../operate/traffic.ts';
import { withHealthServer } from './health.ts';
import { runAndReport } from './run.ts';
import { act, type Shell } from './shell.ts';

interface Options {
  readonly cron?: string;
  readonly timeZone?: string;
  readonly once?: boolean;
}

export function scheduleCommand(shell: Shell): Command {
  return new Command('schedule')
    .option('--cron <expression>', 'minute hour day month weekday (default: `schedule.cron`)')
    .option('--time-zone <zone>', 'time zone of the expression (default: `schedule.timeZone`)')
    .option('--once', 'run what is due now, if anything, then exit')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl schedule
  $ insights-etl schedule --cron "15 */6 * * *" --time-zone Europe/Paris

Missed slots are caught up at the next start; one run covers any number of them. --cron and --time-zone override every
schedule in the configuration, including those of single tenants and tables.`,
    )
    .action((options: Options, command: Command) => {
      const flags = [
        { key: 'schedule.cron', value: options.cron, flag: '--cron' },
        { key: 'schedule.timeZone', value: options.timeZone, flag: '--time-zone' },
      ];
      return act(shell, command, { tenants: true, flags }, async (session) => {
        const { config, runtime, signal } = session;
        const { requireShards } = await import('../pipeline/open-lake.ts');
        // Every run would be refused: end now, not at the first slot.
        await requireShards(config);
        const traffic = watchTraffic(runtime);
        const { withDashboard } = await import('./site.ts');
        return withHealthServer(session, traffic, (watch) =>
          withDashboard(session, () =>
            runDaemon(
              {
                planned: plannedOf(config),
                dataDir: config.dataDir,
                once: options.once === true,
                jitterMs: config.schedule.jitterSeconds * 1000,
                run: (due) => runAndReport(session, {}, { traffic, loads: onlyDue(config, due) }),
                watch: (step) => {
                  if (step.kind === 'waiting') session.nameRun(undefined);
                  watch(step);
                },
              },
              runtime,
              signal,
            ),
          ),
        );
      });
    });
}

/** Throws ConfigError for a schedule that cannot be used. */
export function checkSchedules(config: Config): void {
  plannedOf(config);
}

/** Every table of every tenant with its schedule. Throws ConfigError for a schedule that cannot be used. */
function plannedOf(config: Config): Planned[] {
  parseSchedule(config.schedule);
  const checked = new Set<string>();
  return config.tenants.flatMap(({ id, tables, quiet }) =>
    [...tables].map(([table, { schedule }]) => {
      const text = JSON.stringify(schedule);
      if (!checked.has(text)) parseSchedule(schedule, { tenant: id, table });
      checked.add(text);
      return { tenant: id, table, schedule, quiet };
    }),
  );
}

/** The configuration reduced to the tables that are due. */
function onlyDue(config: Config, due: readonly Due[]): Config {
  const keys = new Set(due.map(keyOf));
  const tenants = config.tenants.map((tenant) => ({
    ...tenant,
    tables: new Map([...tenant.tables].filter(([table]) => keys.has(keyOf({ tenant: tenant.id, table })))),
  }));
  return { ...config, tenants: tenants.filter(({ tables }) => tables.size > 0) };
}
