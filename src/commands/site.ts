/** The dashboard of a configuration: what it shows, its files after each run, and the page that `schedule` serves. */
import { existsSync } from 'node:fs';
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
import { listReports } from '../query/report.ts';
import type { Session } from './shell.ts';

export async function siteOf(
  { config, signal }: Pick<Session, 'config' | 'signal'>,
  page = PAGE_FOLDER,
): Promise<Site> {
  return {
    page,
    dataDir: config.dataDir,
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
    const site = await siteOf({ config, signal }, page);
    if (await isWritten(site, out)) return;
    const { snapshot, files, bytes } = await writeDashboard(site, out);
    log.info({ event: 'dashboard.written', folder: out, snapshot, files, bytes }, 'the dashboard is written');
  } catch (error) {
    const known = error instanceof InsightsError ? { message: error.message, hint: error.hint } : {};
    const code = errorCode(error) ?? 'error';
    log.warn({ event: 'dashboard.unwritten', folder: out, code, ...known }, 'cannot write the dashboard');
  }
}

/** Runs the work. While it runs, serves the dashboard, if `dashboard.port` is set. */
export async function withDashboard(
  { config, runtime, signal }: Pick<Session, 'config' | 'runtime' | 'signal'>,
  work: () => Promise<number>,
  page?: string,
): Promise<number> {
  const { host, port } = config.dashboard;
  if (port === undefined) return work();
  const site = await siteOf({ config, signal }, page);
  await pageFiles(site);
  await using server = await serveDashboard(site, { host, port, setting: { key: 'dashboard.port' } });
  runtime.log.info({ event: 'dashboard.listen', url: server.url }, 'serving the dashboard');
  return await work();
}
