/** `verify`, `status`, `doctor` and `repair`. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { doctorSummary } from '../output/doctor.ts';
import { runningSummary, shardsSummary } from '../output/running.ts';
import { repairSummary, statusSummary, verifySummary } from '../output/summary.ts';
import { wholeNumber } from './numbers.ts';
import { requestOf, tableOption, tenantOption } from './run.ts';
import type { Config } from '../config/config.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly deep?: boolean;
}

export function verifyCommand(shell: Shell): Command {
  return new Command('verify')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--deep', 'read every file of the lake and compare the whole range')
    .addHelpText('after', '\nExamples:\n  $ insights-etl verify\n  $ insights-etl verify --deep --table Events')
    .action((options: Selection, command: Command) =>
      act(shell, command, { tenants: true }, async (session) => {
        const { verifyLake } = await import('../pipeline/maintenance/inspect.ts');
        const report = await verifyLake(session.config, requestOf(session, options), session.runtime, session.signal);
        session.print(session.json ? `${json(report)}\n` : session.withShard(verifySummary(report, session.style)));
        return report.exitCode;
      }),
    );
}

export function statusCommand(shell: Shell): Command {
  return new Command('status')
    .option('--prometheus', 'print the metrics that `schedule` serves, e.g. for a textfile collector')
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl status\n  $ insights-etl status --json --data-dir /srv/insights',
    )
    .action((options: { readonly prometheus?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (options.prometheus === true) {
          if (session.json)
            throw new ConfigError('`status --prometheus` prints metrics in the format of Prometheus, not JSON.', {
              hint: 'Omit --json, or omit --prometheus: `status --json` has the figures of each table.',
            });
          const { requireShards } = await import('../pipeline/open-lake.ts');
          // Each shard has its own counters and its own file.
          await requireShards(session.config);
          const { metricsText } = await import('./observe.ts');
          session.print(await metricsText(session.config, session.runtime));
          return 0;
        }
        const { statusNow } = await import('../pipeline/status.ts');
        const report = await statusNow(session.config, session.runtime);
        const running = report.running ? runningSummary(report.running, session.runtime.now(), session.style) : '';
        const lake = report.tables.length === 0 && running !== '' ? '' : statusSummary(report, session.style);
        const shards = shardsSummary(report.shards ?? []);
        session.print(
          session.json ? `${json(report)}\n` : [running, lake, shards].filter((part) => part !== '').join('\n'),
        );
        return 0;
      }),
    );
}

export function doctorCommand(shell: Shell): Command {
  return new Command('doctor')
    .addOption(tenantOption())
    .addOption(
      new Option('--max-calls <n>', 'most calls to send for each tenant; 2 check address, key, clock and proof')
        .argParser(wholeNumber(1, 999))
        .default(DOCTOR_CALLS),
    )
    .addHelpText('after', '\nExamples:\n  $ insights-etl doctor\n  $ insights-etl doctor --tenant demo --json')
    .action((options: Pick<Selection, 'tenant'> & { readonly maxCalls: number }, command: Command) =>
      act(shell, command, { tenants: true, purges: true }, async (session) => {
        const { tenants } = requestOf(session, options.tenant ? { tenant: options.tenant } : {});
        const config = tenants === undefined ? session.config : onlyTenants(session.config, tenants);
        return runDoctor({ ...session, config }, options.maxCalls);
      }),
    );
}

/** Checks machine and endpoints and prints the results; `init` ends with it. */
export async function runDoctor(session: Session, maxCalls = DOCTOR_CALLS): Promise<number> {
  const { doctor } = await import('../pipeline/doctor/doctor.ts');
  const report = await doctor(session.config, { maxCalls }, session.runtime, session.signal);
  session.print(session.json ? `${json(report)}\n` : session.withShard(doctorSummary(report, session.style)));
  return report.exitCode;
}

/** Enough for every check of three tables and some retries. */
const DOCTOR_CALLS = 20;

function onlyTenants(config: Config, ids: readonly string[]): Config {
  const isChosen = ({ id }: { readonly id: string }): boolean => ids.includes(id);
  // The others are configured, too.
  const others = config.tenants.filter((tenant) => !isChosen(tenant)).map(({ id }) => id);
  return { ...config, tenants: config.tenants.filter(isChosen), otherTenants: [...config.otherTenants, ...others] };
}

export function repairCommand(shell: Shell): Command {
  return new Command('repair')
    .addHelpText('after', '\nExamples:\n  $ insights-etl repair && insights-etl run')
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { repairLake } = await import('../pipeline/maintenance/inspect.ts');
        const report = await repairLake(session.config, session.runtime);
        session.print(session.json ? `${json(report)}\n` : session.withShard(repairSummary(report)));
        return 0;
      }),
    );
}
