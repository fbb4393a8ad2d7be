/** `dashboard`: a page over the marts and the manifest, served on loopback or written as static files. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { plural } from '../kernel/plural.ts';
import { bytes, json } from '../output/format.ts';
import { currentManifest, pageFiles } from '../operate/dashboard/site.ts';
import type { Site } from '../operate/dashboard/site.ts';
import { serveDashboard } from '../operate/dashboard/serve.ts';
import { writeDashboard } from '../operate/dashboard/write.ts';
import { requireShardToRead } from '../query/shards.ts';
import { wholeNumber } from './numbers.ts';
import { act, type Session, type Shell } from './shell.ts';
import { siteOf } from './site.ts';

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
        const { shard, sharedDir } = session.config;
        if (shard) await requireShardToRead(sharedDir, shard);
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

/** Serves the page until a signal stops it. */
export async function showDashboard(
  session: Session,
  site: Site,
  { port, open }: Pick<Options, 'port' | 'open'>,
): Promise<number> {
  // Found now, not by somebody who looks at an empty page.
  await pageFiles(site);
  await currentManifest(site);
  await using server = await serveDashboard(site, { port, setting: { flag: '--port' } });
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
