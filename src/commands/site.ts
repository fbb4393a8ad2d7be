/** The dashboard of a configuration: what it shows, its files after each run, and the page that `schedule` serves. */
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { errorCode, InsightsError } from '../kernel/errors.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { MANIFEST_FILE } from '../model/data-dir.ts';
import { TABLES } from '../model/tables.ts';
import { serveDashboard } from '../operate/dashboard/serve.ts';
import { PAGE_FOLDER, pageFiles } from '../operate/dashboard/site.ts';
import type { Site } from '../operate/dashboard/site.ts';
import { isWritten, writeDashboard } from '../operate/dashboard/write.ts';
import { shardsToRead } from '../query/shards.ts';
import { listReports } from '../query/report.ts';
import type { Session } from './shell.ts';

export async function siteOf(
  { config, signal }: Pick<Session, 'config' | 'signal'>,
  page = PAGE_FOLDER,
): Promise<Site> {
  const divided = await dividedSite(config, signal);
  return {
    page,
    dataDir: divided?.folder ?? config.dataDir,
    divided,
    reports: await describeReports(),
    proofOf: async (snapshot, tenant) => {
      const [{ openReader }, { readProof }] = await Promise.all([
        import('../query/reader.ts'),
        import('../query/proof.ts'),
      ]);
      // Opened for each answer: a run replaces the catalogue.
      await using reader = await openReader(config.dataDir, config.engine, signal);
      const proof = await readProof(reader, snapshot, tenant);
      const logs = config.tenants.find(({ id }) => id === tenant)?.tables.get('Logs') ?? TABLES.Logs;
      return proof && { ...proof, logsRetentionDays: logs.retentionDays ?? null };
    },
  };
}

/** A lake that is divided into shards has its manifest and its marts in a folder of this process, for as long as it runs. */
async function dividedSite(
  { dataDir, engine }: Config,
  signal: AbortSignal,
): Promise<(NonNullable<Site['divided']> & { readonly folder: string }) | undefined> {
  if ((await shardsToRead(dataDir)).length === 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'insights-dashboard-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  let shown: number | undefined;
  let older: number | undefined;
  let last: Promise<void> = Promise.resolve();
  const refresh = async (): Promise<void> => {
    const { removeUnion, sharedSnapshot, writeUnion } = await import('../query/union.ts');
    const snapshot = await sharedSnapshot(dataDir);
    if (snapshot === shown) return;
    await writeUnion(dataDir, folder, engine, signal);
    // A page that was opened before still reads the files of its snapshot.
    if (older !== undefined) await removeUnion(folder, older);
    [older, shown] = [shown, snapshot];
  };
  // One after the other: requests arrive at the same time.
  return { dataDir, folder, refresh: () => (last = last.catch(() => {}).then(refresh)) };
}

/** The files of all shards, where this is a worker. */
function ofAllShards<T extends Pick<Config, 'dataDir' | 'sharedDir'>>(config: T): T {
  return { ...config, dataDir: config.sharedDir };
}

/** What the page says about each report: everything in its header, and not its SQL. */
async function describeReports(): Promise<unknown> {
  return (await listReports()).map(
    ({ name, title, description, formula, grain, unit, caveats, chart, parameters, dimensions }) => ({
      name,
      title,
      description,
      formula,
      grain,
      unit,
      caveats,
      chart,
      filters: ['pass_type', 'platform'].filter((each) => [...dimensions.allowed, ...dimensions.rowsBy].includes(each)),
      parameters: parameters.map(({ name, kind }) => ({ name, kind })),
    }),
  );
}

/** Writes the files of `dashboard.out` unless they show this snapshot already. What fails is logged: the lake is whole. */
export async function writeSite(
  config: Config,
  { log }: Pick<Runtime, 'log'>,
  signal: AbortSignal,
  page?: string,
): Promise<void> {
  const { out } = config.dashboard;
  // A run that failed before anything was published has reported its own error.
  if (out === undefined || !existsSync(join(config.dataDir, MANIFEST_FILE))) return;
  try {
    // Each worker writes the page of all shards: the last one shows what all have published.
    const site = await siteOf({ config: ofAllShards(config), signal }, page);
    if (await isWritten(site, out)) return;
    const { snapshot, files, bytes } = await writeDashboard(site, out);
    log.info({ event: 'dashboard.written', folder: out, snapshot, files, bytes }, 'the dashboard is written');
  } catch (error) {
    const known = error instanceof InsightsError ? { message: error.message, hint: error.hint } : {};
    const code = errorCode(error) ?? 'error';
    log.warn({ event: 'dashboard.unwritten', folder: out, code, ...known }, 'cannot write the dashboard');
  }
}

/** Writes the files of `dashboard.out` again after a purge, and keeps none that were there before. Throws what `writeDashboard` throws. */
export async function forgetInSite(config: Config, signal: AbortSignal, page?: string): Promise<void> {
  const { out } = config.dashboard;
  if (out === undefined || !existsSync(join(out, MANIFEST_FILE))) return;
  await writeDashboard(await siteOf({ config: ofAllShards(config), signal }, page), out, true);
}

/** Runs the work. While it runs, serves the dashboard, if `dashboard.port` is set. */
export async function withDashboard(
  { config, runtime, signal }: Pick<Session, 'config' | 'runtime' | 'signal'>,
  work: () => Promise<number>,
  page?: string,
): Promise<number> {
  const { host, port } = config.dashboard;
  if (port === undefined) return work();
  const site = await siteOf({ config: ofAllShards(config), signal }, page);
  await pageFiles(site);
  await using server = await serveDashboard(site, { host, port, setting: { key: 'dashboard.port' } });
  runtime.log.info({ event: 'dashboard.listen', url: server.url }, 'serving the dashboard');
  return await work();
}
