/**
 * A command at work: its configuration, log, stop signal, output, and error reports of three lines. Commands return an exit code;
 * nothing below this level prints or exits.
 */
import type { Command } from 'commander';
import { loadConfig, type Config, type ConfigSources } from '../config/config.ts';
import { nest, merge, type Tree } from '../config/layers.ts';
import { ConfigError, DiskError, EXIT, InsightsError, StoppedError, errorCode } from '../kernel/errors.ts';
import { systemFiles } from '../kernel/files.ts';
import { plural } from '../kernel/plural.ts';
import { missingShards, shardOfDirectory, showShard, type Shard } from '../model/shard.ts';
import { json } from '../output/format.ts';
import { LiveLines } from '../output/live.ts';
import { levelOf, type Verbosity } from '../output/log-options.ts';
import { createLog, writeError } from '../output/log.ts';
import { shardOfPlaces, withShardFlags, type ShardFlags } from '../output/shard-flags.ts';
import { createProgress } from '../output/progress.ts';
import { styleOf } from '../output/terminal.ts';
import { systemRuntime } from '../kernel/runtime.ts';
import { shardsIfRead } from '../query/shards.ts';
import { ReaderLeft } from './lost-output.ts';
import type { Io, Needs, Session, Shell } from './shell.ts';

interface GlobalOptions extends Verbosity {
  readonly config?: string;
  readonly dataDir?: string;
  readonly shard?: string;
  readonly json?: boolean;
}

/** Runs a command's body. Reports an error that it throws, and sets the exit code. */
export async function actInSession(
  shell: Shell,
  command: Command,
  needs: Needs,
  body: (session: Session) => Promise<number>,
): Promise<void> {
  const { io } = shell;
  const options: GlobalOptions = { ...needs.log, ...command.optsWithGlobals<GlobalOptions>() };
  const screen = new LiveLines(io.stderr);
  let context: object = {};
  let flagsFor: FlagsFor = () => undefined;
  const stop = new AbortController();
  const forget = io.onStop((name) => {
    if (stop.signal.aborted) {
      screen.stop();
      io.exit(EXIT.forced);
    }
    stop.abort(
      new StoppedError(`Stopped by ${name}.`, { hint: 'Run the command again: it continues from the landed pages.' }),
    );
  });
  try {
    const config = configFor(options, needs, io);
    flagsFor = shardFlagsFor(config, options);
    const runtime = systemRuntime(
      createLog(screen, options, () => context),
      io.env,
    );
    if (needs.tenants === true && config.tenants.length === 0 && !(needs.purges && (await hasPurges(config)))) {
      const { requireShards } = await import('../pipeline/open-lake.ts');
      await requireShards(config);
      shell.exitCode = reportEmptyShard(config, io, options.json === true);
      return;
    }
    await warnOfMissingShards(config, runtime.log);
    // Debug lines would leave no time to read the bars.
    const view = { bars: levelOf(screen, options) !== 'debug', quiet: options.quiet === true };
    shell.exitCode = await body({
      config,
      runtime,
      signal: stop.signal,
      io,
      json: options.json === true,
      style: styleOf(io.stdout, io.env),
      print: (text) => void io.stdout.write(text),
      withShard: (text) => withShardFlags(text, flagsFor(undefined)),
      progress: () => createProgress(screen, runtime, view),
      nameRun: (run) => (context = run === undefined ? {} : { run }),
    });
  } catch (error) {
    screen.stop();
    shell.exitCode = error instanceof ReaderLeft ? EXIT.ok : reportError(io, error, options, context, flagsFor);
  } finally {
    screen.stop();
    forget();
  }
}

/** The flags that name a shard: that of the command, or else the one given. */
type FlagsFor = (shard: Shard | undefined) => ShardFlags | undefined;

function shardFlagsFor({ shard, sharedDir }: Config, { dataDir }: GlobalOptions): FlagsFor {
  const inside = shard ? undefined : shardOfDirectory(sharedDir);
  const own = shard ?? inside?.shard;
  return (other) => {
    const named = own ?? other;
    return { shard: named, dataDir: inside?.shared ?? dataDir };
  };
}

/** Where the configuration comes from: file, environment and flags. */
export function sourcesFor(options: GlobalOptions, needs: Needs, io: Pick<Io, 'env' | 'cwd'>): ConfigSources {
  const given = [...(needs.flags ?? [])];
  if (options.dataDir !== undefined) given.push({ key: 'dataDir', value: options.dataDir, flag: '--data-dir' });
  if (options.shard !== undefined) given.push({ key: 'shard', value: options.shard, flag: '--shard' });
  const set = given.filter(({ value }) => value !== undefined);
  return {
    file: options.config,
    env: io.env,
    ...needs.sources,
    cwd: io.cwd,
    flags: {
      values: set.reduce<Tree>((tree, { key, value }) => merge(tree, nest(key.split('.'), value)), {}),
      names: Object.fromEntries(set.map(({ key, flag }) => [key, flag])),
    },
  };
}

/** Loads the configuration from file, environment and flags. */
export function configFor(options: GlobalOptions, needs: Needs, io: Io): Config {
  const config = loadConfig(sourcesFor(options, needs, io));
  if (needs.tenants === true && config.tenants.length + config.otherTenants.length === 0)
    throw new ConfigError('No tenant is configured.', {
      hint: 'Set INSIGHTS_TENANT and INSIGHTS_API_KEY, or list `tenants` in insights.yaml. `insights-etl demo` needs none.',
      where: config.file === undefined ? { folder: io.cwd } : { file: config.file },
    });
  return config;
}

/** A command that reads all shards names those that have published nothing. */
async function warnOfMissingShards(
  { shard, sharedDir, tenants }: Config,
  log: Session['runtime']['log'],
): Promise<void> {
  if (shard !== undefined) return;
  const found = (await shardsIfRead(sharedDir)) ?? [];
  const missing = missingShards(
    found,
    tenants.map(({ id }) => id),
  );
  if (missing.length === 0) return;
  const shards = missing.map(showShard);
  log.warn({ event: 'shards.missing', shards: shards.join(', ') }, 'some shards have published nothing yet');
}

async function hasPurges({ dataDir }: Config): Promise<boolean> {
  const { cutOffPurges } = await import('../pipeline/cut-off-purges.ts');
  return (await cutOffPurges(systemFiles, dataDir)).length > 0;
}

/** A worker without tenants has done its work: with few tenants, some shards have none. */
function reportEmptyShard({ shard, otherTenants }: Config, { stdout }: Io, asJson: boolean): number {
  const name = shard ? showShard(shard) : '0/1';
  stdout.write(
    asJson
      ? `${json({ shard: name, tenants: [] })}\n`
      : `shard ${name} has no tenant; ${plural(otherTenants.length, 'tenant')} in other shards\n`,
  );
  return EXIT.ok;
}

/** Reports an error on standard error (`writeError`) and returns its exit code. */
export function reportError(
  io: Pick<Io, 'stdout' | 'stderr'>,
  error: unknown,
  options: Verbosity & { readonly json?: boolean | undefined },
  context: object = {},
  flagsFor: FlagsFor = () => undefined,
): number {
  const known = asKnown(error);
  const { failure, message, where, exitCode } = known;
  const hint = known.hint && withShardFlags(known.hint, flagsFor(shardOfPlaces(where)));
  writeError(io.stderr, options, known, context, hint);
  if (options.json === true) io.stdout.write(`${json({ error: { failure, message, hint, where }, exitCode })}\n`);
  return exitCode;
}

/** Wraps an error that was not raised on purpose: one of the disk with its code, any other with only its class. */
function asKnown(error: unknown): InsightsError {
  if (error instanceof InsightsError) return error;
  const code = errorCode(error) ?? '';
  if (/^(ENOSPC|EDQUOT|EROFS|EACCES|EPERM|EIO|EMFILE)$/.test(code))
    return new DiskError(`The local disk failed (${code}).`, {
      hint: 'Check free space, owner and permissions of the data directory, then run again. Nothing half-written was published.',
      where: error instanceof Error && 'path' in error ? { file: String(error.path) } : {},
    });
  return new InsightsError('unexpected', `Unexpected ${error instanceof Error ? error.name : typeof error}.`, {
    hint: 'This is a bug in insights-etl: run again with --verbose and report the stack frames.',
    cause: error,
  });
}
