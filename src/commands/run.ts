/** `run`, `backfill`, `plan`: what talks to the source and changes the lake, or says what it would. */
import { Command, Option } from 'commander';
import { json } from '../output/format.ts';
import { planSummary, runSummary } from '../output/summary.ts';
import { watchTraffic, type Traffic } from '../operate/traffic.ts';
import type { RunRequest } from '../pipeline/request.ts';
import { isLoopback } from '../config/schema.ts';
import { observed } from './observe.ts';
import { selectRange, selectTables, selectTenants } from './select.ts';
import { act, type Needs, type Session, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly deep?: boolean;
  readonly allowDeletes?: boolean;
  readonly maxCalls?: string;
  readonly maxMinutes?: string;
}

export const tenantOption = (): Option =>
  new Option('--tenant <glob...>', 'only these tenants (* and ? allowed); default: all that are configured');
export const tableOption = (): Option => new Option('--table <name...>', 'only these tables: Logs, Events, Metrics');

const maxCallsOption = (): Option =>
  new Option('--max-calls <n>', 'calls that this run may send for a tenant (default: `budget.maxCalls`)');
const maxMinutesOption = (): Option =>
  new Option('--max-minutes <n>', 'minutes after which it sends no call any more (default: `budget.maxMinutes`)');

function needsOf({ maxCalls, maxMinutes }: Selection): Needs {
  const number = (text: string | undefined): unknown =>
    text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  return {
    tenants: true,
    flags: [
      { key: 'budget.maxCalls', value: number(maxCalls), flag: '--max-calls' },
      { key: 'budget.maxMinutes', value: number(maxMinutes), flag: '--max-minutes' },
    ],
  };
}

/** A flag goes before what the file says of a tenant. */
function withinBudget(session: Session, { maxCalls, maxMinutes }: Selection): Session {
  const { config } = session;
  const { budget } = config;
  const tenants = config.tenants.map((tenant) => ({
    ...tenant,
    ...(maxCalls === undefined ? {} : { maxCalls: budget.maxCalls }),
    ...(maxMinutes === undefined ? {} : { maxMinutes: budget.maxMinutes }),
  }));
  return { ...session, config: { ...config, tenants } };
}

export function runCommand(shell: Shell): Command {
  return new Command('run')
    .description('Compare the lake with the source, fetch what differs, prove it, publish it')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--deep', 'compare the whole range, not only the last `reconcile.depthDays` days')
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .option('--allow-deletes', 'mirror a mass disappearance at the source instead of refusing it')
    .addHelpText('after', EXAMPLES.run)
    .action((options: Selection, command: Command) =>
      act(shell, command, needsOf(options), (session) =>
        runAndTell(withinBudget(session, options), requestOf(session, options)),
      ),
    );
}

export function backfillCommand(shell: Shell): Command {
  return new Command('backfill')
    .description('The same for one range of the past, whatever `reconcile.depthDays` says')
    .requiredOption('--from <instant>', 'first instant, inclusive, UTC')
    .requiredOption('--to <instant>', 'last instant, exclusive, UTC')
    .addOption(tenantOption())
    .addOption(tableOption())
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .option('--allow-deletes', 'mirror a mass disappearance at the source instead of refusing it')
    .addHelpText('after', EXAMPLES.backfill)
    .action((options: Selection, command: Command) =>
      act(shell, command, needsOf(options), (session) =>
        runAndTell(withinBudget(session, options), requestOf(session, options)),
      ),
    );
}

export function planCommand(shell: Shell): Command {
  return new Command('plan')
    .description('What a run would fetch: rows, bytes, calls and minutes; fetches no page')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--from <instant>', 'plan a backfill from here')
    .option('--to <instant>', 'plan a backfill up to here')
    .option('--deep', 'compare the whole range, not only the last `reconcile.depthDays` days')
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .addHelpText('after', EXAMPLES.plan)
    .action((options: Selection, command: Command) =>
      act(shell, command, needsOf(options), async (given) => {
        const session = withinBudget(given, options);
        const { planRun } = await import('../pipeline/plan-run.ts');
        const request = requestOf(session, options);
        const report = await planRun(session.config, request, session.runtime, session.signal);
        session.print(session.json ? `${json(report)}\n` : planSummary(report, session.colour));
        return report.exitCode;
      }),
    );
}

/** One run with its progress and its summary; also used by the demo. */
export async function runAndTell(session: Session, request: RunRequest, watching?: Traffic): Promise<number> {
  const { runPipeline } = await import('../pipeline/run.ts');
  const { config, runtime, signal } = session;
  const traffic = watching ?? watchTraffic(runtime);
  const progress = session.progress();
  const report = await observed(config, runtime, traffic, signal, () =>
    runPipeline(config, request, { ...runtime, fetch: traffic.fetch }, signal, progress.listen).finally(progress.stop),
  );
  session.print(session.json ? `${json(report)}\n` : runSummary(report, session.colour));
  return report.exitCode;
}

/** The words of the command line as a request; throws ConfigError before anything is touched. */
export function requestOf(session: Session, options: Selection): RunRequest {
  const { config, runtime } = session;
  // The sandbox keeps a clock of its own, so "the future" is not ours to judge there.
  const nowMs = isLoopback(new URL(config.baseUrl)) ? undefined : runtime.now();
  return {
    ...(options.tenant ? { tenants: selectTenants(config, options.tenant) } : {}),
    ...(options.table ? { tables: selectTables(config, options.table) } : {}),
    ...selectRange(options.from, options.to, nowMs),
    ...(options.deep === true ? { deep: true } : {}),
    ...(options.allowDeletes === true ? { allowDeletes: true } : {}),
  };
}

const EXAMPLES = {
  run: `
Examples:
  $ insights-etl run
  $ insights-etl run --tenant 'riviera-*' --table Events Logs
  $ insights-etl run --max-calls 200 --max-minutes 30
  $ insights-etl run --json > run.json`,
  backfill: `
Examples:
  $ insights-etl backfill --from 2026-01-01 --to 2026-02-01
  $ insights-etl backfill --from 2026-01-31T06:00:00Z --to 2026-01-31T07:00:00Z --table Events`,
  plan: `
Examples:
  $ insights-etl plan
  $ insights-etl plan --from 2024-01-01 --to 2026-01-01 --table Events`,
};
