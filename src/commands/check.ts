/** `check`: runs the selects of `queries/checks/` over the published lake. Each row that one returns is a failure. */
import type { Json } from '@duckdb/node-api';
import { Command, Option } from 'commander';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { count, plural } from '../kernel/plural.ts';
import { json } from '../output/format.ts';
import { renderTable } from '../output/table.ts';
import type { Reader } from '../query/reader.ts';
import { listChecks, parameterValues, type Report } from '../query/report.ts';
import { ownReports } from './report-names.ts';
import { act, type Session, type Shell } from './shell.ts';

interface CheckOptions {
  readonly tenant?: string;
  readonly from?: string;
  readonly format: 'table' | 'json';
}

interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly severity: 'error' | 'warning';
  readonly failures: number;
  /** Why it could not run. */
  readonly error?: string;
  /** The first failures. */
  readonly found: readonly Readonly<Record<string, Json>>[];
}

/** Failing rows shown; `failures` counts all of them. */
const SHOWN = { table: 5, json: 100 } as const;

const FLAGS = { tenant: '--tenant', from: '--from' };

export function checkCommand(shell: Shell): Command {
  return new Command('check')
    .argument('[name...]', 'checks to run (default: all)')
    .option('--tenant <id>', 'only this tenant, or several separated by commas')
    .option(
      '--from <date>',
      'only rows from this UTC day on, such as 2026-01-31, yesterday or -30d; fewer rows take less time',
    )
    .addOption(new Option('--format <format>', 'format of the result').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
The exit code is ${EXIT.partial} if a check of severity error returns a row. If only warnings do, it is ${EXIT.ok}.

Examples:
  $ insights-etl check
  $ insights-etl check duplicate_id hour_missing --from -30d --format json`,
    )
    .action((names: readonly string[], options: CheckOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const checks = select([...(await listChecks()), ...(await ownReports(session, 'checks'))], names);
        const words = [...word('tenant', options.tenant), ...word('from', options.from)];
        // Before the lake is opened, so that a wrong flag is reported even without one.
        const values = checks.map((check) =>
          parameterValues(
            check,
            words.filter((given) => check.parameters.some(({ name }) => given.startsWith(`${name}=`))),
            { nowMs: session.runtime.now(), flags: FLAGS },
          ),
        );
        const asJson = session.json || options.format === 'json';
        const { openReader } = await import('../query/reader.ts');
        await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
        const { prepareTenants } = await import('../query/split.ts');
        const tenant = await prepareTenants(reader, options.tenant ?? null, '--tenant');
        const outcomes: Outcome[] = [];
        for (const [index, check] of checks.entries())
          outcomes.push(await attempt(reader, check, { ...values[index], tenant }, asJson ? SHOWN.json : SHOWN.table));
        const failed = outcomes.some(
          ({ severity, failures, error }) => error !== undefined || (severity === 'error' && failures > 0),
        );
        const exitCode = failed ? EXIT.partial : EXIT.ok;
        if (asJson) session.print(`${json({ checks: outcomes, exitCode })}\n`);
        else printOutcomes(session, outcomes);
        return exitCode;
      }),
    );
}

function word(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`];
}

function select(checks: readonly Report[], names: readonly string[]): readonly Report[] {
  const known = checks.map(({ name }) => name);
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new ConfigError(`There is no check "${name}".`, {
      hint: `${didYouMean(name, known)}Checks: ${known.join(', ')}.`,
    });
  }
  return names.length === 0 ? checks : checks.filter(({ name }) => names.includes(name));
}

/** A check that cannot run, which can only be one of the operator, does not stop the others. */
async function attempt(
  reader: Reader,
  check: Report,
  values: Readonly<Record<string, string | null>>,
  shown: number,
): Promise<Outcome> {
  const { name, title, severity = 'error' } = check;
  try {
    return await run(reader, check, values, shown);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { name, title, severity, failures: 0, found: [], error: error.message };
  }
}

async function run(
  reader: Reader,
  { name, title, severity = 'error', sql }: Report,
  values: Readonly<Record<string, string | null>>,
  shown: number,
): Promise<Outcome> {
  const { columns, batches } = await reader.query(sql, values);
  const found: Record<string, Json>[] = [];
  let failures = 0;
  for await (const batch of batches()) {
    failures += batch.length;
    for (const row of batch.slice(0, shown - found.length))
      found.push(Object.fromEntries(columns.map((column, index) => [column.name, row[index] ?? null])));
  }
  return { name, title, severity, failures, found };
}

function printOutcomes(session: Session, outcomes: readonly Outcome[]): void {
  const columns = [{ title: 'check' }, { title: 'result' }, { title: 'rows', align: 'right' as const }, { title: 'what a row means', wraps: true }]; // oxfmt-ignore
  const rows = outcomes.map(({ name, severity, failures, title, error }) => [
    name,
    error === undefined ? (failures === 0 ? 'passed' : severity) : 'could not run',
    count(failures),
    error ?? title,
  ]);
  session.print(renderTable(columns, rows, session.style));
  for (const { name, found, failures } of outcomes) {
    const [first] = found;
    if (first === undefined) continue;
    const cells = found.map((row) => Object.values(row).map((cell) => (typeof cell === 'string' ? cell : JSON.stringify(cell)))); // oxfmt-ignore
    session.print(`\n${name}\n`);
    session.print(renderTable(Object.keys(first).map((title) => ({ title })), cells, session.style)); // oxfmt-ignore
    if (failures > found.length)
      session.print(`… ${plural(failures - found.length, 'more row')}; --format json shows the first ${SHOWN.json}\n`);
  }
}
