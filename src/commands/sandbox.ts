/** `insights-etl sandbox`: serves the sandbox API until it is told to stop. */
import { once } from 'node:events';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { formatInstant } from '../kernel/instant.ts';
import type { LimitMode, Sandbox, SandboxOptions, Shape, WireOptions } from '#sandbox';
import { reportError, type Shell } from './shell.ts';

/** Named here too, because `--help` must work without the sandbox. */
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
  readonly wireDynamic?: WireOptions['dynamic'];
  readonly gzip?: boolean;
}

/** The command; the first line it prints is the address and nothing else, because scripts read it. */
export function sandboxCommand(shell: Shell): Command {
  const command = new Command('sandbox')
    .description('Serve an Insights API on loopback that executes KQL over synthetic or recorded rows')
    .option('--port <n>', 'port of the API; 0 = any free one', port, 0)
    .option('--admin-port <n>', 'port of the admin surface; 0 = any free one', port, 0)
    .option('--data <dir>', 'folder with logs, events, metrics as .ndjson or .ndjson.gz, instead of synthetic rows')
    .option('--rows <n>', 'synthetic rows a tenant, over the three tables (default: 100000)', whole)
    .option('--days <n>', 'days before now that they lie in (default: 60)', positive)
    .option('--seed <n>', 'seed of the synthetic rows (default: 1)', whole)
    .addOption(choice('--shape <shape>', 'uneven and messy, or evenly filled (default: wallet)', ['wallet', 'even']))
    .option(
      '--tenants <a,b>',
      'tenants to serve (default: those of the data, else demo); the key of each is sandbox-<tenant>',
      list,
    )
    .option('--now <iso>', "the sandbox's time at its start; it runs on from there (default: the machine's)")
    .option('--frozen', "the sandbox's time stands still but for what a scenario or the admin surface does to it")
    .option('--replay', "hide rows later than the sandbox's time, so that they come in as it runs")
    .option('--row-cap <n>', 'rows an answer may hold; 0 = no cap (default: 500000)', whole)
    .option('--byte-cap <n>', 'bytes of rows an answer may hold; 0 = no cap (default: 67108864)', whole)
    .addOption(choice('--limit-mode <mode>', 'how an answer above a cap fails (default: one-api-errors)', LIMIT_MODES))
    .option('--query-timeout <seconds>', 'time a query may take, then 504 (default: 240)', seconds)
    .option('--rate <calls>', 'calls in any sliding minute and tenant; 0 = no limit (default: 60)', whole)
    .addOption(
      choice('--retry-after <form>', 'what a 429 of the limit says (default: seconds)', ['seconds', 'date', 'none']),
    )
    .option('--logs-days <n>', 'days that Logs are kept (default: 45)', whole)
    .option('--internal-tenant-ids', "rows carry internal-<tenant> instead of the path's tenant")
    .option('--faults <file>', 'JSON file of fault rules')
    .option('--scenario <file>', 'JSON file of what happens while it runs')
    .option('--calls <file>', 'append one NDJSON line a call to this file')
    .option('--memory', 'keep the rows in memory instead of a temporary file')
    .option('--memory-limit <size>', "DuckDB's own limit (default: 1GB)")
    .addOption(
      choice('--wire-shape <shape>', 'body around the rows (default: rows)', [
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
    .option('--gzip', 'compress bodies for clients that accept it')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl sandbox --port 8080 --rows 100000 --days 30 --seed 7
  $ insights-etl sandbox --data ./recorded --now 2026-11-01T00:00:00Z --row-cap 500
  $ insights-etl sandbox --tenants a,b --faults faults.json --calls calls.ndjson

The files' formats and the admin surface are described in docs/sandbox.md.`,
    );
  return command.action(async () => {
    const { json, verbose } = command.optsWithGlobals<{ json?: boolean; verbose?: boolean }>();
    const report = (error: unknown): number => reportError(shell.io, error, json === true, verbose === true);
    const stop = new AbortController();
    const forget = shell.io.onStop(() => stop.abort());
    try {
      const { signal } = stop;
      const { startSandbox } = await loadSandbox();
      await using sandbox = await startSandbox({ ...optionsOf(command.opts<Flags>()), signal, onError: report });
      shell.io.stdout.write(json ? `${JSON.stringify(summary(sandbox))}\n` : announcement(sandbox));
      if (!signal.aborted) await once(signal, 'abort');
      shell.exitCode = EXIT.ok;
    } catch (error) {
      // Told to stop while it was loading: what it made is gone, and that is all that was wanted.
      shell.exitCode = stop.signal.aborted ? EXIT.stopped : report(error);
    } finally {
      forget();
    }
  });
}

/** Loaded only here: an installation for production may leave the sandbox out. */
async function loadSandbox(): Promise<Pick<typeof import('#sandbox'), 'startSandbox'>> {
  const { startSandbox, SandboxError } = await import('#sandbox').catch((cause: unknown) => {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')) throw cause;
    throw new ConfigError('This installation does not include the sandbox.', {
      hint: 'Install the complete insights-etl package: only the commands `sandbox` and `demo` need it.',
      cause,
    });
  });
  return {
    startSandbox: (options) =>
      startSandbox(options).catch((error: unknown) => {
        if (!(error instanceof SandboxError)) throw error;
        throw new ConfigError(error.message, { hint: error.hint, where: error.where, cause: error });
      }),
  };
}

function optionsOf(flags: Flags): SandboxOptions {
  const synthetic = (['rows', 'days', 'seed', 'shape'] as const).find((name) => flags[name] !== undefined);
  if (flags.data !== undefined && synthetic !== undefined) {
    throw new ConfigError(`--data and --${synthetic} exclude each other.`, {
      hint: 'Give a folder of rows, or the size of synthetic ones.',
      where: { flag: `--${synthetic}` },
    });
  }
  const { wireShape, wireRow, wireDatetime, wireDynamic, gzip, queryTimeout, ...rest } = flags;
  const wire = { shape: wireShape, row: wireRow, datetime: wireDatetime, dynamic: wireDynamic, gzip };
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

function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('Expected a whole number, 0 or more.');
}

function positive(text: string): number {
  const value = whole(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a whole number, 1 or more.');
}

function port(text: string): number {
  const value = whole(text);
  if (value <= 65_535) return value;
  throw new InvalidArgumentError('Expected a port, 0 to 65535.');
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected seconds, more than 0.');
}

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.every((item) => item !== '')) return items;
  throw new InvalidArgumentError('Expected names separated by commas.');
}
