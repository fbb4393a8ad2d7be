/** The forecast of `plan --simulate` as text. */
import { count, plural } from '../kernel/plural.ts';
import type { Forecast, Limit, Phase } from '../model/scale.ts';
import { MOST_SHARDS } from '../model/shard.ts';
import { bytes, duration } from './format.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';
import type { Style } from './terminal.ts';
import { folded } from './fold.ts';

const right = (title: string): Column => ({ title, align: 'right' });

export function forecastText(forecast: Forecast, style: Style): string {
  const { tenants, rowsPerDay, years, shards } = forecast.workload;
  const days = Math.round(years * 365);
  const history = years < 1 ? plural(days, 'day') : plural(Number(years.toFixed(2)), 'year');
  const head = `${plural(tenants, 'tenant')} with ${rowsOf(rowsPerDay)} a day each, ${history}: ${rounded(forecast.rows)} rows in the lake`;
  const workers = shards === 1 ? '' : `, ${count(shards)} workers`;
  const phases: readonly (readonly [string, Phase])[] = [
    ['first load', forecast.firstLoad],
    ['a night', forecast.night],
    ['a night with nothing new', forecast.idle],
  ];
  const perWorker = (seconds: number): string => duration(seconds / shards / CORES_USED);
  const columns = [
    { title: '' }, right('calls'), right('at the rate limit'), right('work on this machine'), right('memory'),
  ]; // oxfmt-ignore
  const rows = phases.map(([name, { calls, minutesAtLimit, cpuSeconds, peakMB }]) => [
    name,
    count(calls),
    minutesAtLimit === 0 ? '' : duration(minutesAtLimit * 60),
    perWorker(cpuSeconds),
    bytes(peakMB * 1e6),
  ]);
  const { lakeBytes, ledgerBytes, catalogueBytes, manifestBytes, files, mirror } = forecast;
  const sizes = [
    `disk: ${bytes(lakeBytes)} in ${plural(files, 'Parquet file')}, ledger ${bytes(ledgerBytes)}, catalogue ${bytes(catalogueBytes)}, manifest ${bytes(manifestBytes)}`,
    `mirror in an object store: ${count(mirror.writesPerMonth)} writes and ${dollars(mirror.dollarsPerMonth)} a month`,
  ];
  const note =
    'At the rate limit: of each tenant, side by side. Work and memory: of each worker with two cores. Calls are exact for even rows; bytes, work and memory are measured averages (docs/scale.md).';
  return folded(
    `${head}${workers}\n\n${renderTable(columns, rows, style)}\n${sizes.join('\n')}\n${limitsText(forecast)}\n${note}\n`,
    style.width,
  );
}

/** Of two cores, a load keeps this many busy. */
const CORES_USED = 1.4;

const ADVICE: Readonly<Record<Limit['what'], string>> = {
  'a night': 'the work of a night takes longer than 6 hours',
  files: 'one data directory would have more than 200,000 files',
  ledger: 'the ledger would exceed 8 GB',
  manifest: 'the manifest would exceed 200 MB',
};

function limitsText({ limits, workload }: Forecast): string {
  const near = limits.filter(({ workers }) => workers > workload.shards);
  if (near.length === 0) return '';
  const most = Math.max(...near.map(({ workers }) => workers));
  const lines = near.map(
    ({ what, workers }) => `limit: ${ADVICE[what]} (${plural(workers, 'worker')} instead of ${count(workload.shards)})`,
  );
  return `\n${lines.join('\n')}\n${nextStep(most, workload.tenants)}\n`;
}

function nextStep(workers: number, tenants: number): string {
  if (workers > tenants)
    return 'A tenant is never divided: this is more than one worker for each tenant. Shorten `start`, or load fewer tables.';
  if (workers > MOST_SHARDS)
    return `A lake has at most ${count(MOST_SHARDS)} workers. Divide the tenants among several data directories, shorten \`start\`, or load fewer tables.`;
  return `Next: share the tenants among ${workers} workers, \`--shard 0/${workers}\` to \`${workers - 1}/${workers}\`, and add shards=${workers} here.`;
}

/** Few rows a day with their fraction: `0.1 rows`. */
function rowsOf(rowsPerDay: number): string {
  if (rowsPerDay > 0 && rowsPerDay < 0.01) return 'less than 0.01 rows';
  const shown = rowsPerDay < 10 ? Number(rowsPerDay.toPrecision(2)) : Math.round(rowsPerDay);
  return Number.isInteger(shown) ? plural(shown, 'row') : `${shown} rows`;
}

function rounded(rows: number): string {
  if (rows < 1e6) return count(rows);
  if (rows < 1e9) return `${Number((rows / 1e6).toPrecision(3))} million`;
  return `${count(Number((rows / 1e9).toPrecision(3)))} billion`;
}

function dollars(value: number): string {
  return `$${value < 10 ? value.toFixed(2) : count(Math.round(value))}`;
}
