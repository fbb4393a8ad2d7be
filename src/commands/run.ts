/** `run` and `backfill` load from the source; `plan` shows what they would fetch. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { json } from '../output/format.ts';
import { planSummary, runSummary } from '../output/summary.ts';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { TABLE_NAMES } from '../model/tables.ts';
import { watchTraffic, type Traffic } from '../operate/traffic.ts';
import type { RunRequest } from '../pipeline/request.ts';
import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/texts.ts';
import { selectRange, selectTables, selectTenants } from './select.ts';
import { act, type Needs, type Session, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly deep?: boolean;
  readonly proveContent?: boolean;
  readonly refetch?: boolean;
  readonly allowDeletes?: boolean;
  readonly maxCalls?: string;
  readonly maxMinutes?: string;
}

export const tenantOption = (): Option =>
  new Option('--tenant <glob...>', 'only these tenants; * and ? are wildcards (default: all configured tenants)');
export const tableOption = (): Option =>
  new Option('--table <name...>', `only these tables: ${TABLE_NAMES.join(', ')}`);

const ALLOW_DELETES = 'remove rows from the lake even if the source lost a large share of them at once';

const proveContentOption = (): Option =>
  new Option(
    '--prove-content',
    'also fetch the hours whose content was never compared, such as those of older versions',
  );
const maxCallsOption = (): Option =>
  new Option('--max-calls <n>', 'most calls that this run may send for each tenant (default: `budget.maxCalls`)');
const maxMinutesOption = (): Option =>
  new Option('--max-minutes <n>', 'send no more calls after this many minutes (default: `budget.maxMinutes`)');

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

/** Exit codes after which the next run does what is left, without anybody's help. */
const LATER: readonly number[] = [EXIT.partial, EXIT.locked, EXIT.stopped, EXIT.budget];

function laterCodes(text: string): readonly number[] {
  const codes = text.split(',').map(Number);
  if (codes.every((code) => LATER.includes(code))) return codes;
  throw new InvalidArgumentError(`Allowed: one or more of ${LATER.join(', ')}, separated by commas.`);
}

export function runCommand(shell: Shell): Command {
  return new Command('run')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--deep', 'compare the whole range, not only the last `reconcile.depthDays` days')
    .addOption(proveContentOption())
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .option('--allow-deletes', ALLOW_DELETES)
    .option(
      '--exit-zero <codes>',
      'exit with 0 instead of these codes, for jobs that continue next time: 5,11,13',
      laterCodes,
    )
    .addHelpText('after', EXAMPLES.run)
    .action(async (options: Selection & { exitZero?: readonly number[] }, command: Command) => {
      const needs = { ...needsOf(options), purges: true };
      await act(shell, command, needs, (session) => runAndReport(session, requestOf(session, options)));
      if (options.exitZero?.includes(shell.exitCode) === true) shell.exitCode = EXIT.ok;
    });
}

export function backfillCommand(shell: Shell): Command {
  return new Command('backfill')
    .requiredOption('--from <instant>', 'start of the range, inclusive, UTC')
    .requiredOption('--to <instant>', 'end of the range, exclusive, UTC')
    .addOption(tenantOption())
    .addOption(tableOption())
    .addOption(proveContentOption())
    .option('--refetch', 'fetch every hour of the range again, even where nothing differs')
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .option('--allow-deletes', ALLOW_DELETES)
    .addHelpText('after', EXAMPLES.backfill)
    .action((options: Selection, command: Command) =>
      act(shell, command, needsOf(options), (session) => runAndReport(session, requestOf(session, options))),
    );
}

export function planCommand(shell: Shell): Command {
  return new Command('plan')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--from <instant>', 'plan a backfill from this instant, inclusive, UTC')
    .option('--to <instant>', 'plan a backfill up to this instant, exclusive, UTC')
    .option('--deep', 'compare the whole range, not only the last `reconcile.depthDays` days')
    .addOption(proveContentOption())
    .addOption(maxCallsOption())
    .addOption(maxMinutesOption())
    .option('--simulate <values>', 'what a lake would cost, without a source: tenants=100,rowsPerDay=5000,years=5')
    .addHelpText('after', EXAMPLES.plan)
    .action((options: Selection & { simulate?: string }, command: Command) =>
      act(shell, command, options.simulate === undefined ? needsOf(options) : NO_SOURCE, async (session) => {
        if (options.simulate !== undefined) {
          refuseOthers(command);
          return simulate(session, options.simulate);
        }
        const { planRun } = await import('../pipeline/plan-run.ts');
        const request = requestOf(session, options);
        const report = await planRun(session.config, request, session.runtime, session.signal);
        session.print(session.json ? `${json(report)}\n` : session.withShard(planSummary(report, session.style)));
        return report.exitCode;
      }),
    );
}

/** A forecast needs no configuration, so that it can be made before there is one. */
const NO_SOURCE: Needs = { sources: { file: false, env: {} } };

/** A forecast is of a size, not of tenants or a range. Throws ConfigError for flags that would have no effect. */
function refuseOthers(command: Command): void {
  const others = command.options.filter(
    (option) => option.attributeName() !== 'simulate' && command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (others.length === 0) return;
  throw new ConfigError(`${others.map(({ long }) => long).join(', ')} cannot be used with --simulate.`, {
    hint: 'A forecast depends only on the values of --simulate. Omit the other flags, or plan at the source without --simulate.',
  });
}

async function simulate(session: Session, text: string): Promise<number> {
  const [{ workloadOf }, { forecast }, { forecastText }] = await Promise.all([
    import('./simulate.ts'),
    import('../model/scale.ts'),
    import('../output/scale.ts'),
  ]);
  const found = forecast(workloadOf(text));
  session.print(session.json ? `${json(found)}\n` : forecastText(found, session.style));
  return EXIT.ok;
}

export interface Loading {
  /** `schedule` passes its own counter, which outlives the run. */
  readonly traffic?: Traffic;
  /** The configuration reduced to what is loaded now. @default all of it */
  readonly loads?: Config;
}

/** One run with its progress and its summary. */
export async function runAndReport(
  session: Session,
  request: RunRequest,
  { traffic = watchTraffic(session.runtime), loads = session.config }: Loading = {},
): Promise<number> {
  const { newRun, runPipeline } = await import('../pipeline/run.ts');
  const { afterPurges } = await import('../pipeline/maintenance/end-purges.ts');
  const { observed } = await import('./observe.ts');
  const { config, runtime, signal } = session;
  const run = newRun(runtime);
  session.nameRun(run);
  const progress = session.progress();
  const isRegular = request.from === undefined && request.to === undefined;
  const removeElsewhere = async (): Promise<void> => {
    const { forgetInSite } = await import('./site.ts');
    await forgetInSite(config, signal);
  };
  const report = await observed(config, runtime, { traffic, isRegular }, signal, () =>
    afterPurges(config, runtime, removeElsewhere, () =>
      runPipeline(loads, { ...request, run }, { ...runtime, fetch: traffic.fetch }, signal, progress.listen),
    ).finally(progress.stop),
  );
  session.print(session.json ? `${json(report)}\n` : session.withShard(runSummary(report, session.style)));
  return report.exitCode;
}

/** The flags as a request. Throws ConfigError before anything is touched. */
export function requestOf(session: Session, options: Selection): RunRequest {
  const { config, runtime } = session;
  // The sandbox has its own clock, so a range that is in the future here need not be in the future there.
  const nowMs = isLoopback(new URL(config.baseUrl)) ? undefined : runtime.now();
  return {
    ...(options.tenant ? { tenants: selectTenants(config, options.tenant) } : {}),
    ...(options.table ? { tables: selectTables(config, options.table) } : {}),
    ...selectRange(options.from, options.to, nowMs),
    ...(options.deep === true ? { deep: true } : {}),
    ...(options.proveContent === true ? { proveContent: true } : {}),
    ...(options.refetch === true ? { refetch: true } : {}),
    ...(options.allowDeletes === true ? { allowDeletes: true } : {}),
  };
}

const EXAMPLES = {
  run: `
Examples:
  $ insights-etl run
  $ insights-etl run --tenant 'riviera-*' --table Events Logs
  $ insights-etl run --max-calls 200 --max-minutes 30
  $ insights-etl run --prove-content --max-calls 200
  $ insights-etl run --json > run.json`,
  backfill: `
Examples:
  $ insights-etl backfill --from 2026-01-01 --to 2026-02-01
  $ insights-etl backfill --from 2026-01-31T06:00:00Z --to 2026-01-31T07:00:00Z --table Events
  $ insights-etl backfill --from 2026-01-01 --to 2026-02-01 --refetch   load it again, e.g. under other privacy rules`,
  plan: `
Examples:
  $ insights-etl plan
  $ insights-etl plan --from 2024-01-01 --to 2026-01-01 --table Events
  $ insights-etl plan --simulate tenants=100,rowsPerDay=5000,years=5`,
};
