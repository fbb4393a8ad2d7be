/** `mirror push`, `mirror status`, `mirror verify` and `mirror forget`: the copy of the lake in an object store. Sends no call to the source. */
import { Command } from 'commander';
import { json } from '../output/format.ts';
import { pushSummary, statusSummary, verifySummary } from '../output/mirror.ts';
import { showAddress } from '../model/former-mirror.ts';
import type { Config } from '../config/config.ts';
import { act, type Shell } from './shell.ts';

export function mirrorCommand(shell: Shell): Command {
  const status = new Command('status')
    .description('Show which snapshot the mirror holds, who writes it, and what is missing')
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config, runtime, signal } = session;
        await requireShards(config);
        const { mirrorStatus } = await import('../pipeline/mirror/inspect.ts');
        const report = await mirrorStatus(config, runtime, signal);
        session.print(session.json ? `${json(report)}\n` : session.withShard(statusSummary(report)));
        return 0;
      }),
    );
  const verify = new Command('verify')
    .description('Compare every object of the snapshot with its manifest, by size and stored checksum')
    .option('--deep', 'download every object and compute its checksum')
    .action(({ deep = false }: { readonly deep?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config, runtime, signal } = session;
        await requireShards(config);
        const { checkMirror } = await import('../pipeline/mirror/inspect.ts');
        const report = await checkMirror(config, runtime, signal, deep);
        session.print(session.json ? `${json(report)}\n` : session.withShard(verifySummary(report)));
        return report.exitCode;
      }),
    );
  const push = new Command('push')
    .description('Upload what the mirror lacks of the published snapshot, as every run does at its end')
    .option(
      '--take-over',
      'become the writer of a mirror that another data directory has written, or begin one again that is gone',
    )
    .action(({ takeOver = false }: { readonly takeOver?: boolean }, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config, runtime, signal } = session;
        const { pushMirror } = await import('../pipeline/mirror/push.ts');
        const report = await pushMirror(config, runtime, signal, { takeOver });
        session.print(session.json ? `${json(report)}\n` : session.withShard(pushSummary(report)));
        return 0;
      }),
    );
  const forget = new Command('forget')
    .description('Take a former mirror that no longer exists out of the record, so that no purge is due there')
    .argument('<address>', 'as a purge, `mirror status` or `doctor` names it')
    .argument('[endpoint]', 'its endpoint, if one is named')
    .action((to: string, endpoint: string | undefined, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { forgetMirror } = await import('../pipeline/mirror/forget.ts');
        const forgotten = { to, ...(endpoint === undefined ? {} : { endpoint }) };
        await forgetMirror(session.config, forgotten, session.runtime);
        const text = `${showAddress(forgotten)} is no longer recorded; nothing was sent to it or deleted there\n`;
        session.print(session.json ? `${json({ forgotten })}\n` : session.withShard(text));
        return 0;
      }),
    );
  return new Command('mirror')
    .addCommand(status)
    .addCommand(verify)
    .addCommand(push)
    .addCommand(forget)
    .addHelpText(
      'after',
      `
\`mirror: s3://bucket/prefix\` in insights.yaml turns it on. \`insights-etl restore --from s3://bucket/prefix\` makes a lake of it.

Examples:
  $ insights-etl mirror status
  $ insights-etl mirror verify --deep
  $ insights-etl mirror push
  $ insights-etl mirror push --take-over     after a restore onto a new machine
  $ insights-etl mirror forget s3://old-bucket/insights https://minio.example.com`,
    );
}

/** Each shard has a mirror of its own. */
async function requireShards(config: Config): Promise<void> {
  const shards = await import('../pipeline/open-lake.ts');
  await shards.requireShards(config);
}
