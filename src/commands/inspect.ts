/** `verify`, `status`, `doctor`, `repair`: what one asks of a lake and of a source. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { json } from '../output/format.ts';
import { doctorSummary, repairSummary, statusSummary, verifySummary } from '../output/summary.ts';
import { requestOf, tableOption, tenantOption } from './run.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly deep?: boolean;
}

export function verifyCommand(shell: Shell): Command {
  return new Command('verify')
    .description('Compare lake and source again, and change nothing')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--deep', 're-read every file of the lake and ask the source for the whole range')
    .addHelpText('after', '\nExamples:\n  $ insights-etl verify\n  $ insights-etl verify --deep --table Events')
    .action((options: Selection, command: Command) =>
      act(shell, command, { tenants: true }, async (session) => {
        const { verifyLake } = await import('../pipeline/maintenance/inspect.ts');
        const report = await verifyLake(session.config, requestOf(session, options), session.runtime, session.signal);
        session.print(session.json ? `${json(report)}\n` : verifySummary(report, session.colour));
        return report.exitCode;
      }),
    );
}

export function statusCommand(shell: Shell): Command {
  return new Command('status')
    .description('Rows, range, freshness, coverage and last run of each table; asks the source nothing')
    .option('--prometheus', 'print the metrics that `schedule` serves, for a textfile collector')
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl status\n  $ insights-etl status --json --data-dir /srv/insights',
    )
    .action((options: { readonly prometheus?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (options.prometheus === true) {
          const { metricsText } = await import('./observe.ts');
          session.print(await metricsText(session.config, session.runtime));
          return 0;
        }
        const { lakeStatus } = await import('../pipeline/status.ts');
        const report = await lakeStatus(session.config, session.runtime);
        session.print(session.json ? `${json(report)}\n` : statusSummary(report, session.colour));
        return 0;
      }),
    );
}

export function doctorCommand(shell: Shell): Command {
  return new Command('doctor')
    .description('Check this machine, and of each tenant address, key, scope, clock, proof, columns, limits and shapes')
    .addOption(tenantOption())
    .addOption(
      new Option('--max-calls <n>', 'calls that it may send for a tenant; 2 settle address, key, clock and proof')
        .argParser(callsOf)
        .default(DOCTOR_CALLS),
    )
    .addHelpText('after', '\nExamples:\n  $ insights-etl doctor\n  $ insights-etl doctor --tenant demo --json')
    .action((options: Pick<Selection, 'tenant'> & { readonly maxCalls: number }, command: Command) =>
      act(shell, command, { tenants: true }, async (session) => {
        const { tenants } = requestOf(session, options.tenant ? { tenant: options.tenant } : {});
        const config = tenants === undefined ? session.config : only(session.config, tenants);
        return runDoctor({ ...session, config }, options.maxCalls);
      }),
    );
}

/** Examines machine and endpoints, and prints what it found; also the end of `init`. */
export async function runDoctor(session: Session, maxCalls = DOCTOR_CALLS): Promise<number> {
  const { doctor } = await import('../pipeline/doctor/doctor.ts');
  const report = await doctor(session.config, { maxCalls }, session.runtime, session.signal);
  session.print(session.json ? `${json(report)}\n` : doctorSummary(report));
  return report.exitCode;
}

/** Every question, of three tables, and some repetitions. */
const DOCTOR_CALLS = 20;

function callsOf(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Allowed: 1 to 999.');
}

function only<T extends { readonly tenants: readonly { readonly id: string }[] }>(
  config: T,
  ids: readonly string[],
): T {
  return { ...config, tenants: config.tenants.filter((tenant) => ids.includes(tenant.id)) };
}

export function repairCommand(shell: Shell): Command {
  return new Command('repair')
    .description('Rebuild the ledger (state.duckdb) from the Parquet files alone')
    .addHelpText('after', '\nExamples:\n  $ insights-etl repair && insights-etl run')
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { repairLake } = await import('../pipeline/maintenance/inspect.ts');
        const report = await repairLake(session.config, session.runtime);
        session.print(session.json ? `${json(report)}\n` : repairSummary(report));
        return 0;
      }),
    );
}
