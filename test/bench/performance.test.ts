/** What `npm run bench` prints follows from its figures: medians, the range, and ratios against goals. */
import { expect, test } from 'vitest';
import { document, linesOfCode, mistakesTable, table } from './performance.mjs';

const run = (seconds: number, more: object = {}): object => ({ seconds, cpuSeconds: seconds * 1.5, peakMB: 300, rows: 1_000, calls: 8, fewest: 8, fewestByRows: 4, bytes: 2_000_000, ...more }); // oxfmt-ignore
const result = {
  machine: { at: '2026-11-29T12:00:00.000Z', commit: 'abc1234', node: 'v24.0.0', processor: 'a processor', cores: 2, memoryGB: 8 },
  settings: { rows: 1_000, days: 30, rounds: 3, seed: 1 },
  figures: {
    'ours': [run(12), run(8), run(10)],
    'ours, without marts and checks': [8, 8, 9].map((seconds) => run(seconds, { loadSeconds: 5 })),
    'download only': [{ seconds: 1, calls: 8 }, { seconds: 2, calls: 8 }],
    'bare DuckDB, Events to the same files': [{ seconds: 4 }],
    'installs by day, from the lake': [{ seconds: 0.6 }],
    'installs by day, from native tables': [{ seconds: 0.4 }],
    'dlt with Arrow tables': [run(15, { bytes: 4_000_000 }), run(15, { bytes: 4_000_000 })],
  },
}; // oxfmt-ignore
const cellsOf = (text: string, name: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`| ${name} |`))
    .flatMap((line) => line.split('|').map((cell) => cell.trim()));

test('the table has the median and the range of each subject, and nothing where nothing was measured', () => {
  const text = table(result);
  expect(cellsOf(text, 'ours')).toEqual(['', 'ours', '10.00', '8.00 to 12.00', '100', '15.0', '300', '1,000', '2.0', '8', '', '']);
  expect(cellsOf(text, 'download only')).toEqual(['', 'download only', '1.50', '1.00 to 2.00', '667', '', '', '', '', '8', '', '']);
  expect(cellsOf(text, 'bare DuckDB, Events to the same files').slice(2, 6)).toEqual(['4.00', '4.00 to 4.00', '', '']);
  const peers = table({ ...result, lines: { 'ours': 0, 'dlt with Arrow tables': 60 } });
  expect(['ours', 'dlt with Arrow tables'].map((name) => cellsOf(peers, name).at(-2))).toEqual(['0', '60']);
}); // oxfmt-ignore

test('lines of code are those that its user writes', () => {
  expect(
    linesOfCode(
      '"""What it does.\n\nAnd why."""\n\nimport os\n\n# A comment\nfor name in os.environ:\n    print(name)\n',
    ),
  ).toBe(3);
});

test('the document has the ratios of what was measured, the machine and the commit', () => {
  const text = document(result);
  expect(cellsOf(text, 'end to end ÷ dlt with Arrow tables')).toEqual(['', 'end to end ÷ dlt with Arrow tables', '1.50', '≥ 1.2', '']);
  expect(cellsOf(text, 'marts and checks ÷ first load')[2]).toBe('0.20');
  expect(cellsOf(text, 'calls ÷ (rows ÷ most rows of an answer)')[2]).toBe('2.00');
  expect(cellsOf(text, 'calls ÷ fewest with both caps of an answer, and a comparison per table')[2]).toBe('1.00');
  expect(cellsOf(text, 'bytes of the store ÷ Parquet of dlt')[2]).toBe('0.50');
  expect(cellsOf(text, 'landed → verified lake ÷ bare DuckDB, the same files (Events)')[2]).toBe('0.80');
  expect(cellsOf(text, 'KPI on the lake ÷ on native DuckDB tables')[2]).toBe('1.50');
  expect(text).not.toContain('on JSON');
  expect(text).not.toContain('one sorted file');
  expect(text).not.toContain('dlt with rows');
  expect(text).not.toContain('gets wrong');
  for (const part of ['2 cores', 'a processor', 'v24.0.0', 'abc1234', '2026-11-29']) expect(text).toContain(part);
}); // oxfmt-ignore

test('mistakes have a row for each event and a column for each loader', () => {
  const mistakes = { ours: { 'a late row': 'right' }, script: { 'a late row': '0 rows instead of 1' } };
  expect(mistakesTable(result)).toBeUndefined();
  expect(mistakesTable({ mistakes })).toBe('| what happens | ours | script |\n| --- | --- | --- |\n| a late row | right | 0 rows instead of 1 |'); // oxfmt-ignore
  expect(document({ ...result, mistakes })).toContain('| a late row | right | 0 rows instead of 1 |');
});
