/** Writes the measured part of docs/scale.md: each figure of each lake next to what the model says of it. */
import { readFile, writeFile } from 'node:fs/promises';

const END = '<!-- end -->';

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const seconds = (value) => `${value.toFixed(1)} s`;
const FIGURES = [
  ['calls of the first load', ({ first }) => first.calls, ({ firstLoad }) => firstLoad.calls, String],
  ['calls of a night', ({ night }) => night.calls, (model) => model.night.calls, String],
  ['calls with nothing new', ({ idle }) => idle.calls, (model) => model.idle.calls, String],
  ['Parquet files', ({ files }) => files, (model) => model.files, String],
  ['bytes of the lake', ({ lakeBytes }) => lakeBytes, (model) => model.lakeBytes, megabytes],
  ['bytes of the ledger', ({ ledgerBytes }) => ledgerBytes, (model) => model.ledgerBytes, megabytes],
  ['bytes of the catalogue', ({ catalogueBytes }) => catalogueBytes, (model) => model.catalogueBytes, megabytes],
  ['bytes of the manifest', ({ manifestBytes }) => manifestBytes, (model) => model.manifestBytes, megabytes],
  ['core seconds of the first load', ({ first }) => first.cpuSeconds, ({ firstLoad }) => firstLoad.cpuSeconds, seconds],
  ['core seconds of a night', ({ night }) => night.cpuSeconds, (model) => model.night.cpuSeconds, seconds],
  ['core seconds with nothing new', ({ idle }) => idle.cpuSeconds, (model) => model.idle.cpuSeconds, seconds],
  ['memory of the first load', ({ first }) => first.peakMB * 1e6, ({ firstLoad }) => firstLoad.peakMB * 1e6, megabytes],
  ['memory of a night', ({ night }) => night.peakMB * 1e6, (model) => model.night.peakMB * 1e6, megabytes],
];

const shapeText = ({ tenants, rowsPerDay, days }) => `${tenants} × ${rowsPerDay} rows × ${days} days`;

function off(measured, model) {
  const share = model / measured - 1;
  return `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(0)} %`;
}

/** `results`: of each shape, what was measured and the forecast (src/model/scale.ts). `sizes`: further forecasts. */
export async function writePage(results, sizes, machine, page = 'docs/scale.md') {
  const head = ['figure', ...results.map(({ shape }) => shapeText(shape))];
  const lines = FIGURES.map(([name, ofMeasured, ofModel, text]) => [
    name,
    ...results.map(({ measured, model }) => {
      const [found, said] = [ofMeasured(measured), ofModel(model)];
      return `${text(found)} (${off(found, said)})`;
    }),
  ]);
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const table = [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
  const where = `Node ${machine.node}, ${machine.cores} cores, ${machine.processor}, commit ${machine.commit}, ${machine.at.slice(0, 10)}.`;
  await fillPart('measured', 'npm run scale', `${table}\n\n${where}`, page);
  await fillPart('sizes', 'npm run scale', sizesTable(sizes), page);
}

/** Writes another content between the marks of a part of the page. */
export async function fillPart(part, command, content, page = 'docs/scale.md') {
  const mark = `<!-- ${part}: written by \`${command}\` -->`;
  const [before, rest] = (await readFile(page, 'utf8')).split(mark);
  if (rest === undefined) throw new Error(`${page} has no part "${part}"`);
  await writeFile(page, `${before}${mark}\n\n${content}\n\n${rest.slice(rest.indexOf(END))}`);
}

function sizesTable(sizes) {
  const head = [
    'tenants',
    'rows a day of each',
    'rows in the lake',
    'calls: first load, night',
    'at the rate limit: first load',
    'core hours: first load, night',
    'files',
    'lake',
    'ledger',
    'dollars a month',
    'workers',
  ];
  const short = (value) => Number(value.toPrecision(2)).toLocaleString('en-US', { maximumFractionDigits: 2 });
  const size = (bytes) =>
    bytes < 1e9 ? `${short(bytes / 1e6)} MB` : bytes < 1e12 ? `${short(bytes / 1e9)} GB` : `${short(bytes / 1e12)} TB`;
  const lines = sizes.map(({ workload, rows, firstLoad, night, files, lakeBytes, ledgerBytes, mirror, limits }) => [
    workload.tenants.toLocaleString('en-US'),
    short(workload.rowsPerDay),
    rows.toExponential(0).replace('e+', '·10^'),
    `${firstLoad.calls.toLocaleString('en-US')}, ${night.calls.toLocaleString('en-US')}`,
    `${short(firstLoad.minutesAtLimit)} min`,
    `${short(firstLoad.cpuSeconds / 3600)}, ${short(night.cpuSeconds / 3600)}`,
    short(files),
    size(lakeBytes),
    size(ledgerBytes),
    short(mirror.dollarsPerMonth),
    Math.min(workload.tenants, Math.max(1, ...limits.map(({ workers }) => workers))),
  ]);
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}
