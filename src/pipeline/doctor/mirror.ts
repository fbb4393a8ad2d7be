/** What `doctor` checks of the mirror: that this data directory may write it, and can; and which former ones a purge has not reached. */
import { randomUUID } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import { InsightsError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import type { MirrorHead } from '../../mirror/head.ts';
import { isSameSnapshot, readHead, requireWriter } from '../../mirror/head.ts';
import { textSource } from '../../mirror/object-store.ts';
import { mirrorAddress, openStore } from '../../mirror/open.ts';
import { forgetCommand, pushVariables, showAddress } from '../../model/former-mirror.ts';
import type { FormerMirror } from '../../model/former-mirror.ts';
import type { DoctorCheck } from '../../model/report.ts';
import { refuseInside, requireOwnFolder } from '../mirror/folder.ts';
import { nothingPublished, requireMirror } from '../mirror/inspect.ts';
import { publishedSnapshot } from '../mirror/local.ts';
import { duePurges, readRecord } from '../mirror/record.ts';
import { failedCheck } from './machine.ts';

export async function mirrorChecks(config: Config, runtime: Runtime, signal: AbortSignal): Promise<DoctorCheck[]> {
  const { check, head } = config.mirror ? await mirrorCheck(config, runtime, signal) : {};
  const files = runtime.files ?? systemFiles;
  const due = await onDisk(config.dataDir, () => duePurges(files, config, head));
  const former = (mirror: FormerMirror, howToClean: string): DoctorCheck => ({
    name: 'former mirror',
    ok: true,
    detail: `${showAddress(mirror)} may still hold a tenant that was purged`,
    hint: howToClean + (mirror.mayBeConfigured ? '' : ` If it no longer exists, run \`${forgetCommand(mirror)}\`.`),
  });
  return [
    ...(check ? [check] : []),
    ...due.formerMirrors.map((mirror) => former(mirror, `Run \`insights-etl mirror push\` with ${pushVariables(mirror)}.`)),
    ...due.mirrorsOfOldShards.map((mirror) => former(mirror, 'An old shard wrote it: delete it, as docs/scale.md (Change the number of shards) says.')),
  ];
} // oxfmt-ignore

interface Checked {
  readonly check: DoctorCheck;
  /** Undefined: there is none, or it could not be read. */
  readonly head?: MirrorHead;
}

/**
 * Writes and deletes one small object below `doctor/`, which no mirror holds: what a push needs is not known before it was tried.
 * Nothing is written to a mirror that another data directory writes.
 */
async function mirrorCheck(config: Config, runtime: Runtime, signal: AbortSignal): Promise<Checked> {
  const name = 'mirror';
  let head: MirrorHead | undefined;
  const checked = (check: DoctorCheck): Checked => ({ check, ...(head ? { head } : {}) });
  const files = runtime.files ?? systemFiles;
  try {
    const settings = requireMirror(config);
    await refuseInside(config.dataDir, settings.place, files);
    const store = await openStore(settings, runtime, files, signal);
    const found = await readHead(store);
    head = found?.head;
    requireWriter(mirrorAddress(settings), found?.head, await readRecord(files, config.dataDir));
    if (found === undefined) await requireOwnFolder(settings.place, files);
    const probe = `doctor/${randomUUID()}`;
    await store.put(probe, textSource(''));
    await store.delete(probe);
    const able = `${store.place} can be read and written, and`;
    if (!found || found.head.snapshot === 0)
      return checked({ name, ok: true, detail: `${able} holds no snapshot yet` });
    const { snapshot, pushedAt } = found.head;
    const held = `${able} holds snapshot ${snapshot}, pushed ${pushedAt}`;
    const lake = await publishedSnapshot(files, config.dataDir).catch(nothingPublished);
    if (!lake || isSameSnapshot({ snapshot: lake.number, publishedAt: lake.publishedAt }, found.head)) return checked({ name, ok: true, detail: held }); // oxfmt-ignore
    return checked({
      name,
      ok: true,
      detail: `${held}; this lake has snapshot ${lake.number} of ${lake.publishedAt}`,
      hint: 'The next run brings the mirror up to date, or `insights-etl mirror push` does it now.',
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof InsightsError)) throw error;
    return checked(failedCheck(name, error));
  }
}
