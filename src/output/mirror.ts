/** Reports of `mirror push`, `mirror status` and `mirror verify` as text. */
import { count, plural } from '../kernel/plural.ts';
import { pushVariables, showAddress } from '../model/former-mirror.ts';
import type { FormerMirrors } from '../model/former-mirror.ts';
import type { MirrorCheck, MirrorOutcome, MirrorPushReport, MirrorStatusReport } from '../model/mirror-report.ts';
import { bytes } from './format.ts';

export function pushSummary(report: MirrorPushReport): string {
  const { mirror, snapshot, files, uploadedFiles, uploadedBytes, removedFiles } = report;
  return (
    `snapshot ${snapshot} is in ${mirror}: ${plural(files, 'file')}, ${bytes(report.bytes)}\n` +
    `uploaded ${plural(uploadedFiles, 'object')}, ${bytes(uploadedBytes)}; deleted ${plural(removedFiles, 'object')} of earlier snapshots\n` +
    unconditionalText(report.conditional)
  );
}

export function statusSummary(report: MirrorStatusReport): string {
  const { mirror, held, objects, published, missing, purgeDue } = report;
  const due = formerMirrorsText(purgeDue);
  if (!held) return `${mirror} holds no mirror yet\nNext: \`insights-etl mirror push\`.\n${due}`;
  const { snapshot, publishedAt, pushedAt, writer, isOwn, superseded } = held;
  const what =
    snapshot === 0
      ? `${mirror} is claimed; no push was completed yet\n`
      : `${mirror} holds snapshot ${snapshot} of ${publishedAt}, pushed ${pushedAt}\n`;
  const here =
    published === undefined
      ? 'nothing is published in this data directory\n'
      : `this data directory has snapshot ${published}; ${missing === 0 ? 'the mirror holds all of its files' : `${plural(missing, 'file')} of it are not in the mirror`}\n`;
  return (
    what +
    `${count(objects)} objects, ${bytes(report.bytes)}; ${count(superseded)} of them of earlier snapshots\n` +
    `written by ${isOwn ? 'this data directory' : `another data directory (${writer})`}\n` +
    here +
    unconditionalText(held.conditional) +
    (isOwn && (published !== snapshot || missing > 0) ? 'Next: `insights-etl mirror push`.\n' : '') +
    due
  );
}

/** After a purge: no push goes to them, so nothing deletes the tenant there. Empty if there are none. */
export function formerMirrorsText(mirrors: FormerMirrors, tenant = 'a tenant that was purged'): string {
  return mirrorsText(
    mirrors,
    `These former mirrors may still hold ${tenant}. For each that still exists, run \`insights-etl mirror push\` with these variables and the credentials of its store, which deletes it there`,
    `These mirrors of old shards may still hold ${tenant}. Delete them, as docs/scale.md (Change the number of shards) says`,
  );
}

/** Before a purge, a push deletes nothing of the tenant. */
export function mirrorsBeforePurgeText(mirrors: FormerMirrors, tenant: string): string {
  return mirrorsText(
    mirrors,
    `These former mirrors may hold ${tenant}, too. After the purge, for each that still exists, run \`insights-etl mirror push\` with these variables and the credentials of its store, which then deletes it there`,
    `These mirrors of old shards may hold ${tenant}, too. Delete them, as docs/scale.md (Change the number of shards) says`,
  );
}

function mirrorsText(
  { formerMirrors, mirrorsOfOldShards }: FormerMirrors,
  former: string,
  ofOldShards: string,
): string {
  const listed = (text: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `${text}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
  const isAny = formerMirrors.length + mirrorsOfOldShards.length > 0;
  return (
    listed(former, formerMirrors.map(pushVariables)) +
    listed(ofOldShards, mirrorsOfOldShards.map(showAddress)) +
    (isAny ? 'For each that no longer exists: `insights-etl mirror forget <address> [endpoint]`.\n' : '')
  );
}

const PROBLEMS: Readonly<Record<MirrorCheck['problems'][number]['problem'], string>> = {
  missing: 'it is missing',
  size: 'it has another size',
  sha256: 'its checksum differs',
  foreign: 'another program has written it to the log',
};

export function verifySummary(report: MirrorCheck): string {
  const { mirror, snapshot, publishedAt, files, deep, problems } = report;
  const how = deep ? 'downloaded and compared' : 'compared by size and stored checksum';
  return (
    `${problems.length === 0 ? 'ok  ' : 'FAIL'}  ${mirror}, snapshot ${snapshot} of ${publishedAt}: ${plural(files, 'object')}, ${bytes(report.bytes)}, ${how}\n` +
    problems.map(({ object, problem }) => `      ${object}: ${PROBLEMS[problem]}\n`).join('') +
    nextText(problems)
  );
} // oxfmt-ignore

/** A push writes again what is missing or has another size. It does not read what looks as it should. */
function nextText(problems: MirrorCheck['problems']): string {
  if (problems.length === 0) return '';
  const some = (wanted: string): boolean => problems.some(({ problem }) => problem === wanted);
  const steps = [
    ...(some('sha256') ? ['if the machine that writes the mirror still has its lake, delete the objects whose checksum differs'] : []),
    ...(some('foreign') ? ['delete each `_delta_log` folder that another program has written to'] : []),
    'run `insights-etl mirror push` on the machine that writes the mirror',
  ];
  return `Next: ${steps.join('; ')}.\n`;
} // oxfmt-ignore

function unconditionalText(conditional: boolean): string {
  return conditional
    ? ''
    : 'note: this store ignores conditions of writes, so two writers that start at the same moment would not notice each other\n';
}

/** A push that did what it should is in the log only. */
export function mirrorText(mirror: MirrorOutcome | undefined): string {
  if (mirror === undefined || !('error' in mirror)) return '';
  const { message, hint } = mirror.error;
  return `\nThe mirror was not updated; the lake is published. ${message}\n${hint === undefined ? '' : `next: ${hint}\n`}`;
}
