/** The figures of `npm run bench` as a table, and as docs/performance.md. Pure: what it prints follows from the JSON. */
import { median } from './median.mjs';

/** Of each subject: median, least and most seconds, and medians of the rest. */
function summary({ figures }) {
  return Object.entries(figures).map(([name, runs]) => {
    const of = (key) => runs.map((run) => run[key]).filter((number) => number !== undefined);
    const middle = (key) => (of(key).length === 0 ? undefined : median(of(key)));
    return {
      name,
      seconds: middle('seconds'),
      least: Math.min(...of('seconds')),
      most: Math.max(...of('seconds')),
      cpu: middle('cpuSeconds'),
      peak: middle('peakMB'),
      bytes: middle('bytes'),
      rows: middle('rows'),
      calls: middle('calls'),
      fewest: middle('fewest'),
      fewestByRows: middle('fewestByRows'),
      load: middle('loadSeconds'),
    };
  });
}

const shown = (number, digits = 0) => (number === undefined ? '' : number.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })); // oxfmt-ignore

export function table(result) {
  const head = ['what', 'seconds (median)', 'least to most', 'rows a second', 'CPU seconds', 'peak MB', 'rows', 'MB written', 'calls', 'lines of code']; // oxfmt-ignore
  const all = summary(result);
  // What is downloaded are the pages that ours reads.
  const downloaded = all.find(({ name }) => name === 'ours')?.rows;
  const rowsOf = ({ name, rows }) => (name === 'download only' ? downloaded : rows);
  const perSecond = (each) => (rowsOf(each) === undefined ? undefined : Math.round(rowsOf(each) / each.seconds));
  const rows = all.map((each) => [
    each.name,
    shown(each.seconds, 2),
    `${shown(each.least, 2)} to ${shown(each.most, 2)}`,
    shown(perSecond(each)),
    shown(each.cpu, 1),
    shown(each.peak),
    shown(each.rows),
    each.bytes === undefined ? '' : shown(each.bytes / 1e6, 1),
    each.calls ? shown(each.calls) : '',
    shown(result.lines?.[each.name]),
  ]);
  return [head, head.map((_, nth) => (nth === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** Lines of a Python script that its user writes: without empty ones, comments and the text that describes it. */
export function linesOfCode(script) {
  const code = script.replace(/^"""[\s\S]*?"""/, '').split('\n');
  return code.filter((line) => line.trim() !== '' && !line.trim().startsWith('#')).length;
}

/** What each loader makes of events at the source; undefined without peers. */
export function mistakesTable({ mistakes }) {
  if (mistakes === undefined) return undefined;
  const names = Object.keys(mistakes);
  const events = Object.keys(mistakes[names[0]]);
  return [
    ['what happens', ...names],
    ['---', ...names.map(() => '---')],
    ...events.map((event) => [event, ...names.map((name) => mistakes[name][event])]),
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** Name, how it is computed and what we aim at. */
function ratios(result) {
  const by = Object.fromEntries(summary(result).map((each) => [each.name, each]));
  const [all, load] = [by['ours'], by['ours, without marts and checks']];
  const over = (a, b) => (a === undefined || b === undefined ? undefined : a / b);
  const bare = (form) => over(by[`bare DuckDB, Events to ${form}`]?.seconds, load?.load);
  return [
    ['landed → verified lake ÷ bare DuckDB, the same files (Events)', bare('the same files'), '≥ 0.8'],
    ['landed → verified lake ÷ bare DuckDB, one sorted file (Events)', bare('one sorted file'), '≥ 0.4'],
    ['end to end ÷ dlt with Arrow tables', over(by['dlt with Arrow tables']?.seconds, all?.seconds), '≥ 1.2'],
    ['end to end ÷ dlt with rows', over(by['dlt with rows']?.seconds, all?.seconds), '≥ 6'],
    ['marts and checks ÷ first load', over(all?.seconds - load?.seconds, all?.seconds), '≤ 0.15'],
    ['calls ÷ (rows ÷ most rows of an answer)', over(all?.calls, all?.fewestByRows), '≤ 1.05'],
    ['calls ÷ fewest with both caps of an answer, and a comparison per table', over(all?.calls, all?.fewest), ''],
    [
      'KPI on the lake ÷ on native DuckDB tables',
      over(by['installs by day, from the lake']?.seconds, by['installs by day, from native tables']?.seconds),
      '≤ 1.2',
    ],
    [
      'question on promoted columns ÷ on JSON',
      over(by['passes by type, from promoted columns']?.seconds, by['passes by type, from JSON']?.seconds),
      '≤ 0.2',
    ],
    ['bytes of the store ÷ Parquet of dlt', over(all?.bytes, by['dlt with Arrow tables']?.bytes), '≤ 0.5'],
  ].filter(([, ratio]) => ratio !== undefined && !Number.isNaN(ratio));
}

export function document(result) {
  const { machine, settings } = result;
  const rows = median(result.figures['ours'].map((run) => run.rows));
  return `<!-- Written by \`npm run bench -- --write\`. Do not edit: the figures are in performance.json. -->

# Performance

${shown(rows)} synthetic rows of ${settings.days} days, ${settings.rounds} rounds after a warm-up, in turns, on ${machine.cores} cores (${machine.processor}, ${machine.memoryGB} GB), Node ${machine.node}, at commit ${machine.commit} on ${machine.at.slice(0, 10)}.
Answers are replayed byte for byte from files, so the API costs almost nothing: "download only" is what it costs. Lines of code are those that a user writes; ours needs an address, a key and a first day.

${table(result)}

| ratio | reached | goal |
| --- | --: | --: |
${ratios(result)
  .map(([name, ratio, goal]) => `| ${name} | ${shown(ratio, 2)} | ${goal} |`)
  .join('\n')}

${
  mistakesTable(result) === undefined
    ? ''
    : `## What each loader gets wrong

Each loads two days, then something happens at the source, then it runs for the next night. Given are the rows in its files that this is about.

${mistakesTable(result)}

`
}To repeat it: \`npm run bench -- --peers data/peers\`. \`npm run bench -- --quick\` takes under three minutes.
`;
}
