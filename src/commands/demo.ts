/**
 * `demo` (= `npm start`): everything against a sandbox on loopback. The sandbox runs as a process of its own so that the
 * times and memory shown are realistic. Its seed and clock are fixed so that a second demo finds nothing new.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { SourceError } from '../kernel/errors.ts';
import { DEMO_FOLDER } from '../model/data-dir.ts';
import { sqlText } from '../kernel/sql.ts';
import { duration, json } from '../output/format.ts';
import { runSummary } from '../output/summary.ts';
import { findReport, parameterValues } from '../query/report.ts';
import { answer } from './answer.ts';
import { loadSandbox } from './sandbox.ts';
import { act, type Session, type Shell } from './shell.ts';

const TENANT = 'demo';
const NOW = '2026-11-01T00:00:00Z';
const DATA = ['--tenants', TENANT, '--rows', '200000', '--days', '60', '--seed', '7'];
/** Frozen: otherwise the speed of this machine would decide which Logs are still within their retention. */
const SANDBOX = ['--port', '0', ...DATA, '--now', NOW, '--frozen'];
/** One hour after the last row, so that every row is older than `settleMinutes`. */
const SCENARIO = [{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }];
/** Reports of the last days only, so that the output fits a screen. */
const REPORTS: readonly (readonly [name: string, ...values: string[]])[] = [
  ['installs', 'from=2026-10-28'],
  ['active_passes_by_platform'],
  ['log_errors', 'from=2026-10-28'],
];

/** The demo is for a person to read, in a pipe too. */
const LOG = { logFormat: 'text', logLevel: 'warn' } as const;

const PROOF = `
  select
    table_name as "table",
    sum(source_rows)::bigint as "rows at the source",
    sum(lake_rows)::bigint as "= in the lake",
    sum(duplicate_rows)::bigint as "+ copies",
    sum(quarantined_rows)::bigint as "+ quarantined",
    case when sum(source_rows) = sum(lake_rows + duplicate_rows + quarantined_rows) then 'balances' else 'DIFFERS' end as account
  from coverage
  group by table_name
  order by table_name`;

export function demoCommand(shell: Shell): Command {
  return new Command('demo')
    .addHelpText('after', '\nExamples:\n  $ insights-etl demo\n  $ insights-etl demo --data-dir /tmp/demo')
    .action((_options: object, command: Command) => {
      const given = command.optsWithGlobals<{ dataDir?: string }>().dataDir;
      // Environment and configuration files of this machine are ignored: the demo must not touch a real lake.
      const env = {
        INSIGHTS_BASE_URL: 'http://127.0.0.1',
        INSIGHTS_TENANT: TENANT,
        INSIGHTS_API_KEY: `sandbox-${TENANT}`,
      };
      const flags = given === undefined ? [{ key: 'dataDir', value: `./data/${DEMO_FOLDER}`, flag: '--data-dir' }] : [];
      return act(shell, command, { flags, sources: { file: false, env }, log: LOG }, (session) => demo(session));
    });
}

async function demo(session: Session): Promise<number> {
  const exitCode = await load(session);
  if (exitCode !== 0 || !isWatched(session)) return exitCode;
  const [{ showDashboard }, { siteOf }] = await Promise.all([import('./dashboard.ts'), import('./site.ts')]);
  session.print('\nThe lake as a page, adoption and proof:\n  ');
  return showDashboard(session, await siteOf(session), { port: 0, open: false });
}

/** Somebody can open the page and stop it. In a pipe or under CI the demo ends by itself. */
function isWatched({ io, json: isJson }: Pick<Session, 'io' | 'json'>): boolean {
  return !isJson && io.stdout.isTTY === true && !io.env['CI'];
}

async function load(session: Session): Promise<number> {
  const startedMs = session.runtime.monotonic();
  (await loadSandbox()).requireParser();
  const say = (text: string): void => void (session.json || session.print(text));
  say('1. An Insights API on this machine: 60 days of synthetic data, real KQL, 60 calls a minute.\n');
  await using sandbox = await startSandbox(session);
  say(
    `   ${sandbox.url}, tenant "${TENANT}"\n\n2. A run: compare with the lake, fetch what differs, verify it, publish it.\n   The first one takes about half a minute.\n\n`,
  );

  const here: Session = { ...session, config: { ...session.config, baseUrl: sandbox.url } };
  const { newRun, runPipeline } = await import('../pipeline/run.ts');
  const run = newRun(here.runtime);
  here.nameRun(run);
  const progress = here.progress();
  const report = await runPipeline(here.config, { run }, here.runtime, here.signal, progress.listen).finally(
    progress.stop,
  );
  if (session.json) session.print(`${json(report)}\n`);
  else session.print(runSummary(report, session.style));
  if (report.exitCode !== 0 || session.json) return report.exitCode;

  say('\n3. The proof: each row of the source is in the lake, is a known copy, or is in quarantine.\n\n');
  await answer(here, PROOF, {}, 'table');
  say('\n4. Some reports (queries/kpi). Each says how far its figures are verified.\n');
  for (const [name, ...values] of REPORTS) {
    const kpi = await findReport(name);
    say(`\n${kpi.title} (${name})\n`);
    await answer(here, inShort(kpi.sql), parameterValues(kpi, values, { nowMs: here.runtime.now() }), 'table');
  }
  say(whatNext(here, (here.runtime.monotonic() - startedMs) / 1000));
  return 0;
}

/** A report without the columns that explain its coverage in detail, so that it fits 80 columns. */
function inShort(sql: string): string {
  const omitted = ['tenant_id', 'is_cut', 'verified_share', 'partial_share', 'open_share', 'loaded_at'];
  return `select columns(name -> not list_contains([${omitted.map(sqlText).join(', ')}], name)) from (\n${sql}\n)`;
}

function whatNext({ config, io }: Session, seconds: number): string {
  const folder = relative(io.cwd, config.dataDir) || '.';
  const cli = 'npx insights-etl';
  const rest = `--data-dir ${folder}`;
  return `
Done in ${duration(seconds)}. Your files, in ${folder}:
  insights.duckdb   the catalogue: open it with DuckDB, read-only
  lake/             Parquet files for pandas, polars, Spark
  manifest.json     what was published

Next:
  npm start                a second time: nothing new, no file changes
  ${cli} status ${rest}
  ${cli} sql "from passes limit 5" ${rest}
  ${cli} query --list
  ${cli} dashboard ${rest}

With your own tenant:
  ${cli} init     asks for tenant and key, and checks them
  ${cli} run
`;
}

interface RunningSandbox extends AsyncDisposable {
  readonly url: string;
}

async function startSandbox({ config, signal }: Session): Promise<RunningSandbox> {
  const folder = await mkdtemp(join(tmpdir(), 'insights-demo-'));
  const scenario = join(folder, 'scenario.json');
  await writeFile(scenario, JSON.stringify(SCENARIO));
  const cli = fileURLToPath(new URL('../cli.js', import.meta.url));
  const child = spawn(process.execPath, [cli, '--log-format', 'text', 'sandbox', ...SANDBOX, '--scenario', scenario], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const dispose = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { url: await firstLine(child, ended, signal, config.http.timeoutSeconds), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The sandbox prints its address first. If it exits before that, what it printed becomes the error. */
async function firstLine(
  child: ChildProcess,
  ended: Promise<void>,
  signal: AbortSignal,
  seconds: number,
): Promise<string> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new TypeError('the sandbox was spawned without pipes');
  let printed = '';
  stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const line = new Promise<string>((resolve) => {
    createInterface({ input: stdout }).once('line', resolve);
  });
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
  const aborted = new Promise<never>((_resolve, reject) => {
    timeout.addEventListener('abort', () => reject(signal.aborted ? signal.reason : timeout.reason), { once: true });
  });
  const url = await Promise.race([line, ended.then(() => undefined), aborted]);
  if (url !== undefined) return url;
  const [first = ''] = printed.trim().split('\n');
  throw new SourceError(`The sandbox did not start: ${first.replace(/^error: /, '') || 'no reason given'}`, {
    hint: 'Run `insights-etl sandbox` to see its messages.',
  });
}
