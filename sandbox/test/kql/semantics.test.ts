import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatInstant, parseInstant } from '../../instant.ts';
import { KqlError } from '../../kql/error.ts';
import { openEngine } from './support.ts';
import type { Engine } from './support.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine(`
    insert into "Events" values
      ('00000000-0000-4000-8000-000000000001', 17830260000000000, 't1', 'it''s "quoted"', '', '{"a\\"b":1,"s":"x y","n":5,"nul":null}'),
      (null, null, 't1', 'Ünïcode 😀', '', null)`);
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const rows = async (query: string): Promise<(string | null)[][]> => (await engine.run(query)).rows;
const row = async (expressions: string): Promise<(string | null)[]> => (await rows(`print ${expressions}`))[0] ?? [];

function refusal(query: string): KqlError {
  try {
    engine.compile(query);
  } catch (error) {
    if (error instanceof KqlError) return error;
    throw error;
  }
  throw new Error(`The query was not rejected: ${query}`);
}

describe('numbers', () => {
  test('integer division truncates, and by zero it is null; the remainder is never negative', async () => {
    expect(await row('7 / 2, -7 / 2, 1 / 0, 7 % 3, -7 % 3, 5 % 0, 7.0 / 2, 1.0 / 0')).toEqual([
      '3',
      '-3',
      null,
      '1',
      '2',
      null,
      '3.5',
      'Infinity',
    ]);
  });

  test('bin rounds down, also below zero', async () => {
    expect(await row('bin(-5, 3), bin(-1.5, 1), bin(-90m, 1h), bin(datetime(1969-12-31T23:30:00Z), 1h)')).toEqual([
      '-6',
      '-2.0',
      '-02:00:00',
      '1969-12-31T23:00:00.0000000Z',
    ]);
  });

  test('weeks begin on a Monday for bin, which counts from the year 1, and on a Sunday for startofweek', async () => {
    expect(await row('bin(datetime(2026-07-02), 7d), startofweek(datetime(2026-07-02))')).toEqual([
      '2026-06-29T00:00:00.0000000Z',
      '2026-06-28T00:00:00.0000000Z',
    ]);
  });

  test('a sum beyond 64 bits fails and does not wrap', async () => {
    await expect(rows('range x from 1 to 2 step 1 | summarize sum(9223372036854775807)')).rejects.toThrow(
      /range|overflow/i,
    );
  });

  test('text that is not a whole number converts to null; hexadecimal text converts to a number', async () => {
    expect(
      await row(`tolong('0x1F'), tolong('abc'), tolong(''), tolong('1_000'), toint('99999999999'), todouble('1e3')`),
    ).toEqual(['31', null, null, null, null, '1000.0']);
  });
});

describe('time', () => {
  test('every tick from the year 1 to 9999 has a text of seven digits that parses back to it', async () => {
    const first = parseInstant('0001-01-01') ?? 0n;
    const last = parseInstant('9999-12-31T23:59:59.9999999Z') ?? 0n;
    // The stride has no common factor with a day, so that each part of the text takes many values.
    const stride = (last - first) / 997n;
    const instants = Array.from({ length: 998 }, (_, index) => (index === 997 ? last : first + BigInt(index) * stride));
    const values = instants.map((instant) => `(${instant}::bigint)`).join(', ');
    const reader = await engine.connection.runAndReadAll(
      `select kql_datetime_text(t), kql_parse_datetime(kql_datetime_text(t))::varchar from (values ${values}) v(t)`,
    );
    expect(reader.getRowsJson()).toEqual(instants.map((instant) => [formatInstant(instant), String(instant)]));
  });

  test('calendar arithmetic keeps the seventh digit and the end of a month', async () => {
    expect(
      await row(
        `datetime_add('month', 1, datetime(2026-01-31T00:00:00.0000001Z)), endofday(datetime(2026-01-31)),
         datetime_diff('week', datetime(2026-07-05), datetime(2026-07-04)), dayofweek(datetime(2026-07-05))`,
      ),
    ).toEqual(['2026-02-28T00:00:00.0000001Z', '2026-01-31T23:59:59.9999999Z', '1', '00:00:00']);
  });

  test('rows without an order have no neighbours; they must be serialized or sorted first', async () => {
    expect(refusal('Events | extend n = row_number()').message).toContain("Function 'row_number' cannot be invoked");
    expect(await rows('Events | serialize n = row_number() | summarize max(n)')).toEqual([['2']]);
  });
});

describe('nulls', () => {
  test('null equals no value, two nulls give null, and `where` treats null as false', async () => {
    expect(await row('int(null) == 1, int(null) != 1, int(null) == int(null), int(null) > 1')).toEqual([
      'false',
      'true',
      null,
      null,
    ]);
    expect(await rows('datatable(x:int)[1, int(null)] | where not(x == 1)')).toEqual([[null]]);
    expect(await rows('datatable(x:int)[1, int(null)] | where x != 5 | count')).toEqual([['2']]);
  });

  test('text has no null: missing text is empty, also after an outer join and a union', async () => {
    expect(
      await row(`isnull(''), isempty(''), tostring(guid(null)), tostring(datetime(null)), tostring(dynamic(null))`),
    ).toEqual(['false', 'true', '', '', '']);
    expect(
      await rows(
        `datatable(k:string, v:long)['a', 1] | join kind=leftouter (datatable(k:string, t:string)['b', 'x']) on k`,
      ),
    ).toEqual([['a', '1', '', '']]);
    expect(await rows(`datatable(a:long)[1] | union (datatable(b:string)['x']) | order by a asc`)).toEqual([
      [null, 'x'],
      ['1', ''],
    ]);
  });

  test('by default, descending sorting has nulls last and ascending sorting has nulls first', async () => {
    const table = 'datatable(x:int)[1, int(null), 3]';
    expect(await rows(`${table} | sort by x`)).toEqual([['3'], ['1'], [null]]);
    expect(await rows(`${table} | sort by x asc`)).toEqual([[null], ['1'], ['3']]);
    expect(await rows(`${table} | order by x asc nulls last`)).toEqual([['1'], ['3'], [null]]);
    expect(await rows(`${table} | top 2 by x nulls first`)).toEqual([[null], ['3']]);
  });

  test('later operators keep an order, even if its column is projected away', async () => {
    expect(
      await rows(
        `datatable(x:int, s:string)[2, 'b', 3, 'c', 1, 'a'] | sort by x asc | extend y = 1 | where x > 0 | project s | take 2`,
      ),
    ).toEqual([['a'], ['b']]);
    expect(await rows(`datatable(x:int)[3, 1, 2] | sort by x asc | summarize make_list(x)`)).toEqual([['[1,2,3]']]);
  });

  test('without rows, counts and sums are 0, lists are [], averages are NaN, and all other aggregates are null', async () => {
    expect(
      await rows(
        'datatable(x:long)[] | summarize count(), sum(x), dcount(x), avg(x), min(x), make_list(x), take_any(x)',
      ),
    ).toEqual([['0', '0', '0', 'NaN', null, '[]', null]]);
    expect(await rows('datatable(x:long, k:long)[] | summarize count() by k')).toEqual([]);
  });
});

describe('text', () => {
  test('`has` finds whole terms, `contains` any part, both ignoring case', async () => {
    expect(
      await row(
        `'pass.installed' has 'INSTALLED', 'pass.installed' has 'install', 'pass.installed' contains 'INSTALL', 'a_b' has 'a'`,
      ),
    ).toEqual(['true', 'false', 'true', 'true']);
    expect(await row(`'A.B' has 'a.b', 'AXB' has 'a.b', 'abc' startswith 'AB', 'abc' startswith_cs 'AB'`)).toEqual([
      'true',
      'false',
      'true',
      'false',
    ]);
  });

  test('each type has its text', async () => {
    expect(
      await row(
        `tostring(true), tostring(1h), tostring(-1.5d), tostring(1tick), tostring(dynamic('a')), tostring(dynamic([1, 'a'])), tostring(1.5)`,
      ),
    ).toEqual(['true', '01:00:00', '-1.12:00:00', '00:00:00.0000001', 'a', '[1,"a"]', '1.5']);
  });

  test('strings may hold quotes, backslashes, comment marks and SQL without becoming SQL', async () => {
    expect(await row(String.raw`'it\'s', "say \"x\"", @'a\b', "'; drop table Events; --", "/* $1 ? :x */"`)).toEqual([
      "it's",
      'say "x"',
      String.raw`a\b`,
      "'; drop table Events; --",
      '/* $1 ? :x */',
    ]);
    expect(await rows(`Events | where eventType == 'it\\'s "quoted"' | project eventType`)).toEqual([
      ['it\'s "quoted"'],
    ]);
    expect(await rows('Events | count')).toEqual([['2']]);
  });

  test('names may contain quotes and may differ only by case', async () => {
    const answer = await engine.run(
      `print ['a"b; drop'] = 1, x = 2, X = 3 | extend y = ['a"b; drop'] + X, kql_item = 5`,
    );
    expect(answer.columns.map((column) => column.name)).toEqual(['a"b; drop', 'x', 'X', 'y', 'kql_item']);
    expect(answer.rows).toEqual([['1', '2', '3', '4', '5']]);
  });

  test('a column may have the name of a variable that a macro or a list uses', async () => {
    expect(
      await rows(`datatable(i:string, x:long, m:long, item:string, kql_item:string)['a', 17, 5, 'b', 'c']
        | project strrep(i, 2), bin(x, m), item in (dynamic(['b'])), kql_item in (dynamic(['c'])), repeat(kql_item, 2)`),
    ).toEqual([['aa', '15', 'true', 'true', '["c","c"]']]);
  });

  test('a string with a NUL is rejected', () => {
    expect(refusal(String.raw`print "a\0b"`).code).toBe('literal');
  });
});

describe('dynamic values', () => {
  test('paths, keys with quotes, and indices from either end; a missing value is null', async () => {
    expect(
      await rows(`Events | where isnotnull(timestamp)
        | project properties['a"b'], properties.s, tostring(properties.s), isnull(properties.nul), isnull(properties.x.y.z)`),
    ).toEqual([['1', '"x y"', 'x y', 'true', 'true']]);
    expect(await row(`dynamic([1, 2, 3])[-1], dynamic({"a": [10, 20]}).a[1], dynamic([1])[5]`)).toEqual([
      '3',
      '20',
      null,
    ]);
  });

  test('comparison needs no cast if the other side has a type', async () => {
    expect(await rows(`Events | where properties.n > 4 and properties.s == 'x y' | count`)).toEqual([['1']]);
  });

  test('mv-expand gives a row for each element, one row for an empty array, and converts', async () => {
    expect(await rows(`print xs = dynamic([1, 2.5, "z", null]) | mv-expand xs to typeof(real)`)).toEqual([
      ['1.0'],
      ['2.5'],
      [null],
      [null],
    ]);
    expect(await rows(`print xs = dynamic([]), y = 1 | mv-expand xs`)).toEqual([[null, '1']]);
    expect(await rows(`print xs = dynamic([1,2,3]) | mv-expand with_itemindex=i xs limit 2`)).toEqual([
      ['1', '0'],
      ['2', '1'],
    ]);
  });
});

describe('tables', () => {
  const left = `datatable(k:long, a:string)[1, 'x', 1, 'y', 2, 'z']`;
  const right = `datatable(k:long, b:string)[1, 'p', 3, 'q']`;

  test('join keeps one left row for each key by default', async () => {
    expect(await rows(`${left} | join (${right}) on k | count`)).toEqual([['1']]);
    expect(await rows(`${left} | join kind=inner (${right}) on k | count`)).toEqual([['2']]);
    expect(await rows(`${left} | join kind=leftanti (${right}) on k`)).toEqual([['2', 'z']]);
    expect(await rows(`${left} | join kind=rightanti (${right}) on $left.k == $right.k`)).toEqual([['3', 'q']]);
    expect(await rows(`${left} | lookup (${right}) on k | order by a asc`)).toEqual([
      ['1', 'x', 'p'],
      ['1', 'y', 'p'],
      ['2', 'z', ''],
    ]);
  });

  test('a union keeps both columns when their types differ', async () => {
    const answer = await engine.run(`datatable(x:long)[1] | union (datatable(x:string)['s'])`);
    expect(answer.columns).toEqual([
      { name: 'x_long', type: 'long' },
      { name: 'x_string', type: 'string' },
    ]);
    expect(answer.rows).toEqual([
      ['1', ''],
      [null, 's'],
    ]);
  });

  test('an inner union keeps the columns that all members have', async () => {
    const answer = await engine.run(
      `datatable(a:long, b:string)[1, 'x'] | union kind=inner (datatable(a:long, c:string)[2, 'y']) | extend d = a * 2 | order by a asc`,
    );
    expect(answer.columns.map((column) => column.name)).toEqual(['a', 'd']);
    expect(answer.rows).toEqual([
      ['1', '2'],
      ['2', '4'],
    ]);
  });

  test('`in` compares numbers by value, regardless of their types', async () => {
    expect(
      await row('5 in (5.5), 5 in (dynamic([1.5, 5])), 1 in (dynamic([1.5])), int(null) in (1), int(null) !in (1)'),
    ).toEqual(['false', 'true', 'false', 'false', 'true']);
  });

  test('withsource names the tables', async () => {
    expect(await rows('union withsource=t Events, Logs | summarize count() by t')).toEqual([['Events', '2']]);
  });

  test('functions, tabular parameters and materialize', async () => {
    expect(
      await rows(`let twice = (n:long, times:long = 2) { n * times };
        let above = (T:(x:long), low:long) { T | where x > low };
        let xs = materialize(range x from 1 to 4 step 1);
        above(xs, toscalar(xs | summarize min(x))) | extend y = twice(x) | summarize sum(y), max(y)`),
    ).toEqual([['18', '8']]);
  });
});

describe('parameters and options', () => {
  test('declared parameters take the request’s values by their type, or their defaults', async () => {
    const query = `declare query_parameters(n:long, at:datetime = datetime(2026-01-01), s:string = 'd'); print n + 1, at, s`;
    const answer = await engine.run(query, { parameters: { n: '41', at: 'datetime(2026-02-03)', s: `'; drop` } });
    expect(answer.rows).toEqual([['42', '2026-02-03T00:00:00.0000000Z', `'; drop`]]);
    expect((await engine.run(query, { parameters: { n: '1' } })).rows).toEqual([
      ['2', '2026-01-01T00:00:00.0000000Z', 'd'],
    ]);
  });

  test('a missing value, or one of another type, is rejected', () => {
    const query = 'declare query_parameters(n:long); print n';
    expect(() => engine.compile(query, { parameters: { n: '1; drop' } })).toThrow('not a valid long literal');
    expect(() => engine.compile(query)).toThrow("query parameter 'n' has no value");
  });

  test('options of set statements are reported', () => {
    expect(engine.compile(`set notruncation; set truncationmaxrecords = 10; set x = 'y'; print 1`).options).toEqual({
      notruncation: 'true',
      truncationmaxrecords: '10',
      x: 'y',
    });
  });
});

describe('queries are rejected with the engine’s messages', () => {
  test.each([
    [
      'Events | where nope > 1',
      'SEM',
      "Semantic error: SEM0100: Failed to resolve column or scalar expression named 'nope'",
    ],
    ['Nope | count', 'SEM', "SEM0100: Failed to resolve table or column expression named 'Nope'"],
    ['Events | where timestamp > | count', 'SYN', 'Syntax error: SYN0002'],
    ["Events | where timestamp > 'x'", 'SEM', 'Semantic error'],
    ["Events | where eventId < 'x'", 'SEM', 'Semantic error: SEM0064: Cannot compare values of types guid and string'],
    ['print datetime("Dummy")', 'literal', 'datetime("Dummy")'],
    ['print datetime(2026-02-30)', 'literal', 'datetime(2026-02-30)'],
    ['print 99999999999999999999', 'literal', 'not a valid long'],
    ['Events | evaluate bag_unpack(properties)', 'unsupported', "operator 'evaluate'"],
    ['print hash(1)', 'unsupported', "function 'hash'"],
    ['print 1; print 2', 'unsupported', 'more than one query'],
    ['.show tables', 'SYN', 'Syntax error'],
    ['', 'SEM', 'no tabular expression'],
  ])('%s', (query, code, message) => {
    const error = refusal(query);
    expect([error.name, error.code]).toEqual(['KqlError', code]);
    expect(error.message).toContain(message);
  });
});
