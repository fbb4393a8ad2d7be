/** Reports of `backup`, `backup --check` and `restore` as text. */
import type { BackupCheck, BackupReport } from '../model/maintenance-report.ts';
import type { ReportedError } from '../model/report.ts';
import { plural } from '../kernel/plural.ts';
import { shardOfDirectory, showShard } from '../model/shard.ts';
import { bytes } from './format.ts';

export function backupSummary(report: BackupReport): string {
  const { snapshot, folder, files, copiedFiles, copiedBytes, removedFiles, withLedger, kept } = report;
  const removed = kept ? '' : `; removed ${plural(removedFiles, 'file')} of earlier snapshots`;
  return (
    `snapshot ${snapshot} is in ${folder}: ${plural(files, 'file')}, ${bytes(report.bytes)}\n` +
    `copied ${plural(copiedFiles, 'file')}, ${bytes(copiedBytes)}${removed}\n` +
    (kept ? `kept ${plural(kept.length, 'snapshot')}, the oldest of ${kept[0] ?? ''}\n` : '') +
    (withLedger
      ? 'the ledger is included\n'
      : 'the ledger is not included because a run is using it; `insights-etl restore` rebuilds it from the files\n')
  );
}

/** What was done with each shard, or why not, and the shards that are missing. `where`: in what. */
export function shardsText<T>(
  shards: readonly {
    readonly shard: string;
    readonly report?: T;
    readonly error?: ReportedError;
  }[],
  missing: readonly string[],
  where: 'backup' | 'mirror' | 'data directory',
  summary: (report: T) => string,
): string {
  const absent = missing.map((shard) => `shard ${shard}\n${missingFrom(where)}`);
  return shards
    .map(({ shard, report, error }) => {
      const failed = error ? failureText(error) : '';
      return `shard ${shard}\n${report === undefined ? failed : summary(report)}`;
    })
    .concat(absent)
    .join('\n');
}

function failureText({ message, hint, where = {} }: ReportedError): string {
  const place = Object.entries(where).map(([name, value]) => `${name} ${value}`);
  return (
    `FAIL: ${message}\n` +
    (place.length === 0 ? '' : `Where: ${place.join(', ')}\n`) +
    (hint === undefined ? '' : `Next: ${hint}\n`)
  );
}

const NO_TENANT = 'If it has no tenant, use the configuration that lists all tenants.';

function missingFrom(where: 'backup' | 'mirror' | 'data directory'): string {
  const instead = where === 'backup' ? 'another backup or the mirror' : 'a backup';
  return where !== 'data directory'
    ? `MISSING from the ${where}: its tenants are not restored\nNext: restore it from ${instead}. ${NO_TENANT}\n`
    : `MISSING from the data directory: it has published nothing, so its tenants are not in this backup\nNext: load it, or put it back. ${NO_TENANT}\n`;
}

const PROBLEMS: Readonly<Record<BackupCheck['problems'][number]['problem'], string>> = {
  missing: 'it is missing',
  size: 'it has another size',
  sha256: 'its checksum differs',
  unreadable: 'it cannot be read',
  differs: 'it cannot be read, or belongs to another snapshot',
};

export function checkSummary(checks: readonly BackupCheck[], missing: readonly string[]): string {
  const lines = checks.flatMap((check) => {
    const { folder, snapshot, publishedAt, files, withLedger, problems } = check;
    const what =
      snapshot === undefined
        ? ''
        : `, snapshot ${snapshot} of ${publishedAt ?? ''}: ${plural(files, 'file')}, ${bytes(check.bytes)}, ${withLedger ? 'with' : 'without'} ledger`;
    return [
      `${problems.length === 0 ? 'ok  ' : 'FAIL'}  ${folder}${what}`,
      ...problems.map(({ file, problem }) => `      ${file}: ${PROBLEMS[problem]}`),
    ];
  });
  const failed = checks.filter(({ problems }) => problems.length > 0).length;
  const next =
    failed === 0
      ? ''
      : 'Next: run `insights-etl backup` into a new folder; a restore of a damaged one leaves the damaged files out.\n';
  lines.push(...missing.map((shard) => `FAIL  shard ${shard} is missing`));
  const absent =
    missing.length === 0 ? '' : `Next: run \`insights-etl backup\` where the lake has all its shards. ${NO_TENANT}\n`;
  return `${lines.join('\n')}\n${next}${absent}`;
}

interface Restore {
  readonly dataDir: string;
  readonly from: string;
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly files: number;
  readonly rows: number;
  readonly withLedger: boolean;
  readonly damaged: readonly { readonly file: string; readonly problem: BackupCheck['problems'][number]['problem'] }[];
  readonly logs?: readonly string[] | undefined;
  readonly restoredBefore?: true;
}

export function restoreSummary(report: Restore | { readonly dataDir: string; readonly usedSince: true }): string {
  if ('usedSince' in report)
    return `was restored before, and has been used since: it was not changed\n${report.dataDir}: nothing to do\n`;
  const { dataDir, from, snapshot, publishedAt, files, rows, withLedger, damaged, logs = [], restoredBefore } = report;
  return (
    `${restoredBefore === true ? 'was restored before: ' : 'restored '}snapshot ${snapshot} of ${publishedAt} from ${from}\n` +
    `${dataDir}: ${plural(rows, 'row')} in ${plural(files, 'file')}, published\n` +
    (withLedger
      ? ''
      : 'the ledger was rebuilt from the files: the next run verifies every hour again, and quarantined rows are not in it\n') +
    damaged.map(({ file, problem }) => `left out ${file}: ${PROBLEMS[problem]}\n`).join('') +
    logs
      .map(
        (log) =>
          `left out ${log}: damaged or incomplete in the mirror; Delta logs are made again from the ledger, so no row is missing\n`,
      )
      .join('') +
    `Next: \`insights-etl run ${flagsOf(dataDir)}\`, which fetches what is new since the backup${damaged.length === 0 ? '' : ' and what the damaged files held'}.\n`
  );
}

/** Of a shard, its data directory is not the one that a run is given. */
function flagsOf(dataDir: string): string {
  const place = shardOfDirectory(dataDir);
  return place ? `--shard ${showShard(place.shard)} --data-dir ${place.shared}` : `--data-dir ${dataDir}`;
}
