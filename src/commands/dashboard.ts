/** `dashboard`: a page over the marts and the manifest, served on loopback or written as static files. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { bytes, json, plural } from '../output/format.ts';
import { PAGE_FOLDER, pageFiles, pageManifest } from '../operate/dashboard/site.ts';
import type { Site } from '../operate/dashboard/site.ts';
import { serveDashboard } from '../operate/dashboard/serve.ts';
import { writeDashboard } from '../operate/dashboard/write.ts';
import { listReports } from '../query/report.ts';
import { TABLES } from '../model/tables.ts';
import { wholeNumber } from './numbers.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Options {
  readonly port: number;
  readonly out?: string;
  readonly open: boolean;
}

export function dashboardCommand(shell: Shell): Command {
  return new Command('dashboard')
    .option('--port <n>', 'port on 127.0.0.1; 0 = any free port', wholeNumber(0, 65_535), 0)
    .option('--no-open', 'do not open the browser')
    .option('--out <folder>', 'write static files for a web host or an object store, and exit')
    .addHelpText(
      'after',
      `
The page reads lake/marts and manifest.json and loads nothing from elsewhere. It shows a new snapshot by itself. Only this
machine can reach it. It stops at Ctrl+C.

Examples:
  $ insights-etl dashboard
  $ insights-etl dashboard --port 8080 --no-open
  $ insights-etl dashboard --out ./public`,
    )
    .action((options: Options, command: Command) =>
      act(shell, command, {}, async (session) => {
        const site = await siteOf(session);
        if (options.out === undefined) return showDashboard(session, site, options);
        const written = await writeDashboard(site, resolve(session.io.cwd, options.out));
        const { folder, snapshot, files, bytes: size } = written;
        session.print(
          session.json
            ? `${json(written)}\n`
            : `wrote the dashboard of snapshot ${snapshot} to ${folder}: ${plural(files, 'file')}, ${bytes(size)}\n`,
        );
        return 0;
      }),
    );
}

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
    ({ name, title, description, formula, grain, unit, caveats, chart, parameters }) => ({
      name,
      title,
      description,
      formula,
      grain,
      unit,
      caveats,
      chart,
      parameters: parameters.map(({ name, kind }) => ({ name, kind })),
    }),
  );
}

/** Serves the page until a signal stops it. */
async function showDashboard(
  session: Session,
  site: Site,
  { port, open }: Pick<Options, 'port' | 'open'>,
): Promise<number> {
  // Found now, not by somebody who looks at an empty page.
  await pageFiles(site);
  await pageManifest(site.dataDir);
  await using server = await serveDashboard(site, port);
  session.print(session.json ? `${json({ url: server.url })}\n` : `${server.url}\nStop with Ctrl+C.\n`);
  if (open && session.io.stdout.isTTY === true) openBrowser(server.url);
  if (!session.signal.aborted) await once(session.signal, 'abort');
  return 0;
}

/** Nothing happens on a machine without a browser: the address is printed anyway. */
function openBrowser(url: string): void {
  const [program, ...words] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  const child = spawn(program ?? '', words, { stdio: 'ignore', detached: true });
  child.once('error', () => {});
  child.unref();
}
