/** `mirror status` and `mirror verify`: what the mirror holds, compared with this lake and with its own manifest. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config, MirrorSettings } from '../../config/config.ts';
import { ConfigError, EXIT } from '../../kernel/errors.ts';
import { onDisk, sha256Of, systemFiles } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import { readHead, requireWriter } from '../../mirror/head.ts';
import { mirrorAddress, openStore } from '../../mirror/open.ts';
import { showAddress } from '../../model/former-mirror.ts';
import type { MirrorCheck, MirrorStatusReport } from '../../model/mirror-report.ts';
import { STORE_FOLDER, WORK_FOLDER } from '../../model/data-dir.ts';
import { publishedSnapshot } from './local.ts';
import { foreignEntries, remoteLogs } from './logs.ts';
import { duePurges, readRecord } from './record.ts';
import { remoteSnapshot, requireSnapshot } from './remote.ts';

/** Throws ConfigError when no mirror is configured. */
export function requireMirror({ mirror }: Config): MirrorSettings {
  if (mirror) return mirror;
  throw new ConfigError('No mirror is configured.', {
    hint: 'Set `mirror: s3://bucket/prefix` in insights.yaml, or INSIGHTS_MIRROR_TO (docs/mirror.md).',
  });
}

/** Throws ConfigError, MirrorError. */
export async function mirrorStatus(config: Config, runtime: Runtime, signal: AbortSignal): Promise<MirrorStatusReport> {
  const files = runtime.files ?? systemFiles;
  const settings = config.mirror ?? (await withoutMirror(config, files));
  const { dataDir } = config;
  const store = await openStore(settings, runtime, files, signal);
  const found = await readHead(store);
  const record = await onDisk(dataDir, () => readRecord(files, dataDir));
  if (found === undefined) requireWriter(mirrorAddress(settings), undefined, record);
  const objects = new Map<string, number>();
  for await (const { name, bytes } of store.list('')) objects.set(name, bytes);
  const local = await onDisk(dataDir, () => publishedSnapshot(files, dataDir)).catch(nothingPublished);
  const head = found?.head;
  return {
    mirror: store.place,
    held: head && {
      snapshot: head.snapshot,
      run: head.run,
      publishedAt: head.publishedAt,
      pushedAt: head.pushedAt,
      writer: head.writer,
      isOwn: head.writer === record?.writer,
      conditional: head.conditional,
      superseded: Object.keys(head.superseded).filter((name) => objects.has(name)).length,
    },
    objects: objects.size,
    bytes: [...objects.values()].reduce((sum, bytes) => sum + bytes, 0),
    published: local?.number,
    purgeDue: await onDisk(dataDir, () => duePurges(files, config, head)),
    missing: (local?.files ?? []).filter(({ file, bytes }) => objects.get(file) !== bytes).length,
  };
}

/** Throws ConfigError, which names the mirrors that were written before `mirror` was taken out of the configuration and that must be cleaned. */
async function withoutMirror(config: Config, files: Files): Promise<MirrorSettings> {
  const due = await onDisk(config.dataDir, () => duePurges(files, config));
  const left = [...due.formerMirrors, ...due.mirrorsOfOldShards].map(showAddress);
  if (left.length === 0) return requireMirror(config);
  throw new ConfigError('No mirror is configured.', {
    hint: `Former mirrors may still hold a tenant that was purged: ${left.join(', ')}. \`insights-etl doctor\` says how to clean them.`,
  });
}

export function nothingPublished(error: unknown): Snapshot | undefined {
  if (error instanceof ConfigError) return undefined;
  throw error;
}

/** Compares every object of the snapshot with its manifest: size and stored checksum, or with `deep` its bytes. */
export async function checkMirror(
  config: Config,
  runtime: Runtime,
  signal: AbortSignal,
  deep: boolean,
): Promise<MirrorCheck> {
  const settings = requireMirror(config);
  const files = runtime.files ?? systemFiles;
  const store = await openStore(settings, runtime, files, signal);
  const found = await readHead(store);
  // A mirror that is gone is not one that was never filled.
  if (found === undefined) requireWriter(mirrorAddress(settings), found, await onDisk(config.dataDir, () => readRecord(files, config.dataDir))); // oxfmt-ignore
  const { head } = requireSnapshot(store, found);
  const snapshot = await remoteSnapshot(store, head);
  const scratch = join(config.dataDir, WORK_FOLDER, `mirror-${randomUUID()}`);
  const logs = await remoteLogs(store, head);
  const objects = [
    ...head.state.map(({ object, bytes, sha256 }) => ({ object, bytes, sha256 })),
    ...snapshot.files.map(({ file, bytes, sha256 }) => ({ object: file, bytes, sha256 })),
    ...logs.map(({ name, bytes, sha256 }) => ({ object: name, bytes, sha256 })),
  ];
  const problems: MirrorCheck['problems'][number][] = [];
  const names: string[] = [];
  for await (const { name } of store.list(`${STORE_FOLDER}/`)) names.push(name);
  for (const object of await foreignEntries(store, names, new Set(logs.map(({ name }) => name))))
    problems.push({ object, problem: 'foreign' });
  const judge = async ({ object, bytes, sha256 }: (typeof objects)[number]): Promise<void> => {
    const found = await store.head(object);
    const stored = !deep || found?.bytes !== bytes ? found?.sha256 : await downloadedSha256(object);
    const problem = found === undefined || stored === undefined ? 'missing' : found.bytes !== bytes ? 'size' : stored !== sha256 ? 'sha256' : undefined; // oxfmt-ignore
    if (problem) problems.push({ object, problem });
  };
  const downloadedSha256 = async (object: string): Promise<string | undefined> => {
    const path = join(scratch, randomUUID());
    try {
      return (await store.download(object, path, files)) ? await sha256Of(path, files) : undefined;
    } finally {
      await files.rm(path, { force: true });
    }
  };
  return onDisk(config.dataDir, async () => {
    if (deep) await files.mkdir(scratch, { recursive: true });
    try {
      await eachAtOnce(objects, settings.parallel, judge);
    } finally {
      if (deep) await files.rm(scratch, { recursive: true, force: true });
    }
    return {
      mirror: store.place,
      snapshot: head.snapshot,
      publishedAt: head.publishedAt,
      files: objects.length,
      bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
      deep,
      problems: problems.toSorted((a, b) => (a.object < b.object ? -1 : 1)),
      exitCode: problems.length === 0 ? EXIT.ok : EXIT.damaged,
    };
  });
} // oxfmt-ignore
