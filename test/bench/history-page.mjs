/** The figures of `npm run history` as a table: one column for each lake. Pure. */

const whole = (value) => Math.round(value).toLocaleString('en-US');
const megabytes = (bytes) => `${whole(bytes / 1e6)} MB`;
const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 0)} s`;
const process = ({ seconds: time, cpuSeconds, peakMB }) =>
  `${seconds(time)}, ${whole(cpuSeconds)} core s, ${whole(peakMB)} MB`;

const FIGURES = [
  ['first load', ({ first }) => process(first)],
  ['calls of the first load', ({ first }) => whole(first.calls)],
  ['a run with nothing new', ({ idle }) => `${process(idle)}, ${whole(idle.calls)} calls`],
  ['a night', ({ night, shape }) => `${process(night)}, ${whole(night.calls)} calls: ${whole(shape.new)} new rows, ${whole(shape.late)} late`],
  ['the same night, its answers from files', ({ local }) => process(local)],
  ['catalogue opened', ({ opened }) => seconds(opened.opened)],
  ['rows of `events` counted', ({ opened }) => seconds(opened.seconds)],
  ['the same with a plain glob', ({ glob }) => seconds(glob.seconds)],
  ['`query installs` by month, all tenants', ({ kpi }) => seconds(kpi.seconds)],
  ['`query installs` by month, one tenant', ({ kpiOfTenant }) => seconds(kpiOfTenant.seconds)],
  ['`status`', ({ status }) => seconds(status.seconds)],
  ['`verify`', ({ verify }) => seconds(verify.seconds)],
  ['Parquet files', ({ files }) => whole(files)],
  ['lake', ({ lakeBytes }) => megabytes(lakeBytes)],
  ['ledger', ({ ledgerBytes }) => megabytes(ledgerBytes)],
  ['catalogue', ({ catalogueBytes }) => megabytes(catalogueBytes)],
  ['manifest', ({ manifestBytes }) => megabytes(manifestBytes)],
]; // oxfmt-ignore

export function historyTable(lakes) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const head = ['figure', ...lakes.map(({ shape }) => `${whole(shape.tenants)} × ${whole(shape.days)} days, ${whole(shape.rows)} rows`)]; // oxfmt-ignore
  const lines = FIGURES.map(([name, text]) => [name, ...lakes.map(text)]);
  const machines = lakes.map(
    ({ at, machine }) =>
      `${machine.cores} cores of an ${machine.processor}, Node ${machine.node}, commit ${machine.commit}, ${at}`,
  );
  return [
    ...[head, head.map(() => '---'), ...lines].map(row),
    '',
    `In the order of the columns: ${machines.join('; ')}.`,
  ].join('\n');
}
