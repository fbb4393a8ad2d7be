/** `check`: the selects of `queries/checks/` over the published lake; a row that one returns is a failure. */
import type { Json } from '@duckdb/node-api';
import { Command, Option } from 'commander';
import { closest } from '../kernel/closest.ts';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { json, plural } from '../output/format.ts';
import { renderTable } from '../output/table.ts';
import type { Reader } from '../query/reader.ts';
import { listChecks, parameterValues, type Report } from '../query/report.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Wanted {
  readonly tenant?: string;
  readonly from?: string;
  readonly format: 'table' | 'json';
}

interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly severity: 'error' | 'warning';
  readonly failures: number;
  /** The first of them. */
  readonly found: readonly Readonly<Record<string, Json>>[];
}

/** More rows than this help nobody on a screen; `failures` counts them all. */
const SHOWN = { table: 5, json: 100 } as const;

export function checkCommand(shell: Shell): Command {
  return new Command('check')
    .description('Run the checks in queries/checks over the lake; asks the source nothing')
    .argument('[name...]', 'checks to run; all when none is named')
    .option('--tenant <id>', 'one tenant alone')
    .option('--from <date>', 'rows from this UTC day on: the time of a check grows with the rows')
    .addOption(new Option('--format <format>', 'form of the result').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
Ends with ${EXIT.partial} when a check of severity error returns a row; warnings end with ${EXIT.ok}.

Examples:
  $ insights-etl check
  $ insights-etl check duplicate_id hour_missing --from 2026-10-01 --format json`,
    )
    .action((names: readonly string[], wanted: Wanted, command: Command) =>
      act(shell, command, {}, async (session) => {
        const checks = select(await listChecks(), names);
        const words = [...word('tenant', wanted.tenant), ...word('from', wanted.from)];
        // Before the lake is opened: a mistake in a flag is told without it.
        const values = checks.map((check) => parameterValues(check, words));
        const asJson = session.json || wanted.format === 'json';
        const { openReader } = await import('../query/reader.ts');
        await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
        const outcomes: Outcome[] = [];
        for (const [index, check] of checks.entries())
          outcomes.push(await run(reader, check, values[index] ?? {}, asJson ? SHOWN.json : SHOWN.table));
        const failed = outcomes.some(({ severity, failures }) => severity === 'error' && failures > 0);
        const exitCode = failed ? EXIT.partial : EXIT.ok;
        if (asJson) session.print(`${json({ checks: outcomes, exitCode })}\n`);
        else tell(session, outcomes);
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
    const meant = closest(name, known);
    throw new ConfigError(`There is no check "${name}".`, {
      hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}Checks: ${known.join(', ')}.`,
    });
  }
  return names.length === 0 ? checks : checks.filter(({ name }) => names.includes(name));
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

function tell(session: Session, outcomes: readonly Outcome[]): void {
  const columns = [{ title: 'check' }, { title: 'severity' }, { title: 'rows', align: 'right' as const }, { title: 'what a row means' }]; // prettier-ignore
  const rows = outcomes.map(({ name, severity, failures, title }) => [
    name,
    failures === 0 ? 'passed' : severity,
    String(failures),
    title,
  ]);
  session.print(renderTable(columns, rows, session.colour));
  for (const { name, found, failures } of outcomes) {
    const [first] = found;
    if (first === undefined) continue;
    const cells = found.map((row) => Object.values(row).map((cell) => (typeof cell === 'string' ? cell : JSON.stringify(cell)))); // prettier-ignore
    session.print(`\n${name}\n`);
    session.print(renderTable(Object.keys(first).map((title) => ({ title })), cells, session.colour)); // prettier-ignore
    if (failures > found.length)
      session.print(`… ${plural(failures - found.length, 'more row')}; --format json shows the first ${SHOWN.json}\n`);
  }
}
