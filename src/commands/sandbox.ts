/** `insights-etl sandbox`: serves the sandbox API until a stop signal. */
import { once } from 'node:events';
import { Command, InvalidArgumentError, Option } from 'commander';
import { positiveSeconds, wholeNumber } from './numbers.ts';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { formatInstant } from '../kernel/instant.ts';
import type { LimitMode, Sandbox, SandboxOptions, Shape, WireOptions } from '#sandbox';
import type { Verbosity } from '../output/log-options.ts';
import { reportError } from './session.ts';
import type { Shell } from './shell.ts';

/** Repeated here because `--help` must work without the sandbox. */
const LIMIT_MODES = [
  'one-api-errors',
  'exceptions',
  'top-level',
  'error-400',
  'silent',
] as const satisfies readonly LimitMode[];

interface Flags {
  readonly port: number;
  readonly adminPort: number;
  readonly data?: string;
  readonly rows?: number;
  readonly days?: number;
  readonly seed?: number;
  readonly shape?: Shape;
  readonly tenants?: string[];
  readonly now?: string;
  readonly frozen?: boolean;
  readonly replay?: boolean;
  readonly rowCap?: number;
  readonly byteCap?: number;
  readonly limitMode?: LimitMode;
  readonly queryTimeout?: number;
  readonly rate?: number;
  readonly retryAfter?: 'seconds' | 'date' | 'none';
  readonly logsDays?: number;
  readonly internalTenantIds?: boolean;
  readonly faults?: string;
  readonly scenario?: string;
  readonly calls?: string;
  readonly memory?: boolean;
  readonly memoryLimit?: string;
  readonly wireShape?: WireOptions['shape'];
  readonly wireRow?: WireOptions['row'];
  readonly wireDatetime?: WireOptions['datetime'];
  readonly wireLayout?: WireOptions['layout'];
  readonly wireDynamic?: WireOptions['dynamic'];
  readonly gzip?: boolean;
}

/** The first line that it prints is the address and nothing else, because scripts read it. */
export function sandboxCommand(shell: Shell): Command {
  const command = new Command('sandbox')
    .option('--port <n>', 'port of the API; 0 = any free port', port, 0)
    .option('--admin-port <n>', 'port of the admin API; 0 = any free port', port, 0)
    .option('--data <dir>', 'folder with logs, events, metrics as .ndjson or .ndjson.gz, instead of synthetic rows')
    .option('--rows <n>', 'synthetic rows per tenant, over the three tables (default: 100000)', wholeNumber(0))
    .option('--days <n>', 'spread the rows over this many days before now (default: 60)', wholeNumber(1))
    .option('--seed <n>', 'seed of the synthetic rows (default: 1)', wholeNumber(0))
    .addOption(
      choice('--shape <shape>', 'wallet: uneven and messy; even: evenly filled (default: wallet)', ['wallet', 'even']),
    )
    .option(
      '--tenants <a,b>',
      'tenants to serve (default: those of --data, otherwise demo); the key of each is sandbox-<tenant>',
      list,
    )
    .option('--now <iso>', 'time of the sandbox at its start; it advances from there (default: now)')
    .option('--frozen', 'the time of the sandbox advances only by a scenario or the admin API')
    .option('--replay', 'hide rows later than the time of the sandbox, so that they arrive as it advances')
    .option('--row-cap <n>', 'most rows in an answer; 0 = no cap (default: 500000)', wholeNumber(0))
    .option('--byte-cap <n>', 'most bytes of rows in an answer; 0 = no cap (default: 67108864)', wholeNumber(0))
    .addOption(choice('--limit-mode <mode>', 'how an answer above a cap fails (default: one-api-errors)', LIMIT_MODES))
    .option('--query-timeout <seconds>', 'longest time of a query, then 504 (default: 240)', positiveSeconds)
    .option('--rate <calls>', 'calls per tenant in any sliding minute; 0 = no limit (default: 60)', wholeNumber(0))
    .addOption(
      choice('--retry-after <form>', 'form of Retry-After in a 429 (default: seconds)', ['seconds', 'date', 'none']),
    )
    .option('--logs-days <n>', 'days that Logs are kept (default: 45)', wholeNumber(0))
    .option('--internal-tenant-ids', 'rows have internal-<tenant> as tenantId instead of the tenant of the path')
    .option('--faults <file>', 'JSON file with fault rules')
    .option('--scenario <file>', 'JSON file with actions and the number of calls before each')
    .option('--calls <file>', 'append one NDJSON line per call to this file')
    .option('--memory', 'keep the rows in memory instead of a temporary file')
    .option('--memory-limit <size>', 'memory limit of DuckDB (default: 1GB)')
    .addOption(
      choice('--wire-shape <shape>', 'format of the body (default: rows)', [
        'rows',
        'columns',
        'v1',
        'v2',
        'tables',
        'array',
      ]),
    )
    .addOption(choice('--wire-row <form>', 'rows as arrays or as objects (default: array)', ['array', 'object']))
    .addOption(
      choice('--wire-datetime <form>', 'seven digits, or without trailing zeros (default: full)', ['full', 'trimmed']),
    )
    .addOption(
      choice('--wire-dynamic <form>', 'dynamic values as JSON, or as text (default: nested)', ['nested', 'text']),
    )
    .addOption(
      choice('--wire-layout <form>', 'bodies on one line, or with line breaks and indents (default: compact)', [
        'compact',
        'indented',
      ]),
    )
    .option('--gzip', 'compress bodies for clients that accept it')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl sandbox --port 8080 --rows 100000 --days 30 --seed 7
  $ insights-etl sandbox --data ./recorded --now 2026-11-01T00:00:00Z --row-cap 500
  $ insights-etl sandbox --tenants a,b --faults faults.json --calls calls.ndjson

docs/sandbox.md describes the formats of the files and the admin API.`,
    );
  return command.action(async () => {
    const options = command.optsWithGlobals<Verbosity & { json?: boolean }>();
    const report = (error: unknown): number => reportError(shell.io, error, options);
    const stop = new AbortController();
    const forget = shell.io.onStop(() => stop.abort());
    try {
      const { signal } = stop;
      const { startSandbox } = await loadSandbox();
      await using sandbox = await startSandbox({ ...optionsOf(command.opts<Flags>()), signal, onError: report });
      shell.io.stdout.write(options.json ? `${JSON.stringify(summary(sandbox))}\n` : announcement(sandbox));
      if (!signal.aborted) await once(signal, 'abort');
      shell.exitCode = EXIT.ok;
    } catch (error) {
      // A stop while loading is not an error: nothing is left behind.
      shell.exitCode = stop.signal.aborted ? EXIT.stopped : report(error);
    } finally {
      forget();
    }
  });
}

type SandboxModule = Pick<typeof import('#sandbox'), 'startSandbox' | 'requireParser'>;

/** Loaded only here: no other command needs it. Failures that a user can correct become ConfigErrors. */
export async function loadSandbox(): Promise<SandboxModule> {
  const { startSandbox, requireParser, SandboxError } = await import('#sandbox');
  const explain = (error: unknown): never => {
    if (!(error instanceof SandboxError)) throw error;
    throw new ConfigError(error.message, { hint: error.hint, where: error.where, cause: error });
  };
  return {
    startSandbox: (options) => startSandbox(options).catch(explain),
    requireParser() {
      try {
        requireParser();
      } catch (error) {
        explain(error);
      }
    },
  };
}

function optionsOf(flags: Flags): SandboxOptions {
  const synthetic = (['rows', 'days', 'seed', 'shape'] as const).find((name) => flags[name] !== undefined);
  if (flags.data !== undefined && synthetic !== undefined) {
    throw new ConfigError(`--data and --${synthetic} cannot be combined.`, {
      hint: `Omit --${synthetic}: it describes synthetic rows, and --data replaces those.`,
      where: { flag: `--${synthetic}` },
    });
  }
  const { wireShape, wireRow, wireDatetime, wireDynamic, wireLayout, gzip, queryTimeout, ...rest } = flags;
  const wire = {
    shape: wireShape,
    row: wireRow,
    datetime: wireDatetime,
    dynamic: wireDynamic,
    layout: wireLayout,
    gzip,
  };
  return {
    ...rest,
    wire: Object.fromEntries(Object.entries(wire).filter(([, value]) => value !== undefined)),
    queryTimeoutMs: queryTimeout === undefined ? undefined : queryTimeout * 1000,
  };
}

function summary(sandbox: Sandbox) {
  const tenants = sandbox.tenants.map((tenant) => ({ tenant, key: sandbox.keyOf(tenant) }));
  return { url: sandbox.url, adminUrl: sandbox.adminUrl, now: formatInstant(sandbox.now()), tenants };
}

function announcement(sandbox: Sandbox): string {
  const { url, adminUrl, now, tenants } = summary(sandbox);
  const keys = tenants.map(({ tenant, key }) => `tenant ${tenant}, key ${key}`);
  return `${[url, `admin ${adminUrl}`, `now ${now}`, ...keys].join('\n')}\n`;
}

function choice(flags: string, description: string, values: readonly string[]): Option {
  return new Option(flags, description).choices(values);
}

const port = wholeNumber(0, 65_535);

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.every((item) => item !== '')) return items;
  throw new InvalidArgumentError('Allowed: names separated by commas.');
}
