import { beforeAll, describe, expect, test } from 'vitest';
import {
  BOUNDS_COLUMNS,
  PACKED_COLUMNS,
  boundsQuery,
  bucketQuery,
  cellQuery,
  clockQuery,
  countQuery,
  pageQuery,
  timelessQuery,
} from '../../../src/extract/source/kql.ts';
import {
  delayQuestion,
  extentQuestion,
  formsQuestion,
  orderQuestion,
  parametersQuestion,
  probeQuery,
  rowsQuestion,
  schemaQuestion,
} from '../../../src/extract/source/questions.ts';
import type { CellQuery, ClockRange } from '../../../src/extract/source/kql.ts';
import { DAY, HOUR, parseInstant } from '../../../src/kernel/instant.ts';
import type { Window } from '../../../src/kernel/instant.ts';
import type { Page } from '../../../src/model/page.ts';
import type { SourceDrop } from '../../../src/model/privacy.ts';
import { TABLES, TABLE_NAMES } from '../../../src/model/tables.ts';
import type { TableName } from '../../../src/model/tables.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { loadAnalyser } from '../support/analyser.ts';
import type { Analysis } from '../support/analyser.ts';

let analyse: (query: string) => Analysis;
beforeAll(async () => {
  analyse = await loadAnalyser();
});

const start = parseInstant('2026-03-01T00:00:00Z') ?? 0n;
const windows: readonly (readonly Window[])[] = [
  [{ from: start, to: start + DAY }],
  Array.from({ length: 5 }, (_, k) => ({ from: start + BigInt(k) * DAY, to: start + BigInt(k) * DAY + HOUR })),
];
const keys: readonly SourceDrop[][] = [
  [],
  [{ types: undefined, keys: ['email', `o'brien "\\" \u{1f600} é\n`, '$.a.b'] }],
  [
    { types: undefined, keys: ['email'] },
    { types: ['Pass:*', 'a.b', `x['"\\)\u{1f600}`], keys: ['$.a.b'] },
    { types: ['*'], keys: ['email', 'b'] },
  ],
];
const ranges: readonly ClockRange[] = [
  { settleMs: 300_000 },
  { settleMs: 1, lower: start },
  { settleMs: 0, depthDays: 45 },
  { settleMs: 300_000, lower: start, upper: start + DAY, depthDays: 45, retentionDays: 45 },
  { settleMs: 300_000, depthDays: 45, depthFrom: start },
  { settleMs: 300_000, depthDays: 45, retentionDays: 90, older: [{ from: start - DAY, to: start }] },
  {
    settleMs: 300_000,
    depthDays: 45,
    older: [4n, 2n].map((k) => ({ from: start - k * DAY, to: start - k * DAY + HOUR })),
  },
  { settleMs: 300_000, depthDays: 45, early: { from: start - DAY, to: start } },
];

type Query = readonly [name: string, query: string, columns: readonly string[] | undefined];

function* queriesOf(table: TableName): Generator<Query> {
  const packed = PACKED_COLUMNS.map((name) => `${name}: string`);
  for (const dropKeys of keys) {
    for (const proof of ['checksum', 'count', 'none'] as const)
      for (const unit of ['hour', 'minute', 'second'] as const)
        for (const range of [...(unit === 'hour' ? ranges : []), ...windows.map((list) => ({ windows: list }))]) {
          const query: CellQuery = { table, unit, proof, range, dropKeys };
          yield [`cells of ${table} by ${unit}, ${proof}`, cellQuery(query), packed];
        }
    for (const list of windows)
      yield [`buckets of ${table}`, bucketQuery(table, list, { items: 20_000, dropKeys }), packed];
    for (const list of windows) {
      const page: Page = { id: 'p', windows: list, rows: 1, bytes: 1 };
      const columns = TABLES[table].columns.map(({ name }) => `${name}: string`);
      yield [`page of ${table}`, pageQuery(table, page, 500_000, { dropKeys }), columns];
      const part: Page = { ...page, windows: list.slice(0, 1), hash: { from: 0, to: 32_768 } };
      yield [`recount of ${table}`, countQuery(table, [page, part]), ['n: string', 'at: string']];
      const slice = { ...part, slice: { from: 10, to: 20 } };
      yield [`slice of ${table}`, pageQuery(table, slice, 10, { dropKeys }), columns];
      yield [`hash part of ${table}`, pageQuery(table, part, 1, { dropKeys }), columns];
    }
  }
  for (const proof of ['content', 'checksum', 'count'] as const) {
    const query = { table, unit: 'hour', proof, range: { settleMs: 1 }, countsOutside: true } as const;
    yield [`cells and rows outside of ${table}, ${proof}`, cellQuery(query), packed];
    for (const range of ranges)
      yield [`bounds of ${table}`, boundsQuery({ ...query, range }), BOUNDS_COLUMNS.map((name) => `${name}: string`)];
  }
  const cells = TABLES[table].columns.map(({ name }) => `${name}: string`);
  yield [`timeless rows of ${table}`, timelessQuery(table, 10, { digests: true }), [...cells, 'digest: string']];
  for (const question of [delayQuestion, extentQuestion, schemaQuestion])
    yield [
      `${question.name} of ${table}`,
      question(table).query,
      question(table).columns.map((name) => `${name}: string`),
    ];
}

function* queriesOfNoTable(): Generator<Query> {
  yield ['probe', probeQuery(), undefined];
  yield ['clock', clockQuery(), undefined];
  for (const question of [formsQuestion, orderQuestion, parametersQuestion])
    yield [question.name, question().query, undefined];
  yield ['rows', rowsQuestion(500_000).query, ['x: string']];
}

describe('every query text that the pipeline can send', () => {
  const sets = [
    { subject: 'no table', queries: [...queriesOfNoTable()], fewest: 6 },
    ...TABLE_NAMES.map((table) => ({ subject: table, queries: [...queriesOf(table)], fewest: 120 })),
  ];
  for (const { subject, queries, fewest } of sets)
    test(
      `of ${subject} passes the engine's analyser without errors or warnings, and returns text columns under their own names`,
      subject === 'no table' ? {} : subject === 'Metrics' ? CAMPAIGN : LONG,
      () => {
        const faults: string[] = [];
        for (const [name, query, columns] of queries) {
          const analysis = analyse(query);
          if (analysis.problems.length > 0)
            faults.push(`${name}: ${analysis.problems.join('; ')}\n${query.slice(0, 400)}`);
          else if (columns && analysis.columns.join() !== columns.join())
            faults.push(`${name}: ${analysis.columns.join()}`);
        }
        expect(faults).toEqual([]);
        expect(queries.length).toBeGreaterThanOrEqual(fewest);
      },
    );

  test('fails the analyser when a column is misspelt, which shows that the check above works', () => {
    expect(
      analyse(cellQuery({ table: 'Events', unit: 'hour', proof: 'checksum', range: { settleMs: 0 } })).problems,
    ).toEqual([]);
    expect(analyse(probeQuery().replace('by h', 'by hh')).problems.join()).toMatch(/hh/);
  });
});

describe('a query text', () => {
  test('rejects numbers that are not whole and windows that are empty', () => {
    const page: Page = { id: 'p', windows: [{ from: start, to: start }], rows: 1, bytes: 1 };
    expect(() => pageQuery('Events', page, 1)).toThrow(RangeError);
    expect(() => pageQuery('Events', { ...page, windows: windows[0] ?? [] }, 1.5)).toThrow(RangeError);
  });

  test('writes a key of any characters as one literal of plain ASCII', () => {
    const query = pageQuery('Events', { id: 'p', windows: windows[0] ?? [], rows: 1, bytes: 1 }, 1, {
      dropKeys: [{ types: undefined, keys: [`a'b"c\\d\u{1f600}`] }],
    });
    expect(query).toContain(String.raw`dynamic(['a\u0027b\u0022c\u005cd\ud83d\ude00'])`);
  });
});
