/** `schedule`: the process that stays and runs at each slot of a cron expression. */
import { Command } from 'commander';
import { runDaemon } from '../daemon.ts';
import { parseSchedule } from '../schedule.ts';
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

A slot that was missed is caught up at the next start, several of them by one run.`,
    )
    .action((options: Options, command: Command) => {
      const flags = [
        { key: 'schedule.cron', value: options.cron, flag: '--cron' },
        { key: 'schedule.timeZone', value: options.timeZone, flag: '--time-zone' },
      ];
      return act(shell, command, { tenants: true, flags }, (session) => {
        const { config, runtime, signal } = session;
        return runDaemon(
          {
            schedule: parseSchedule(config.schedule),
            dataDir: config.dataDir,
            once: options.once === true,
            run: () => runAndTell(session, {}),
          },
          runtime,
          signal,
        );
      });
    });
}
