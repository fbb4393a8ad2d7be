/** Reports of `mirror push`, `mirror status` and `mirror verify` as text. */
import { count, plural } from '../kernel/plural.ts';
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
  const { mirror, held, objects, published, missing } = report;
  if (!held) return `${mirror} holds no mirror yet\nNext: \`insights-etl mirror push\`.\n`;
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
    (isOwn && (published !== snapshot || missing > 0) ? 'Next: `insights-etl mirror push`.\n' : '')
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
