/** The coverage of segments: computed once per tenant, whatever the number of segments. That it is right is tested with each dimension. */
import { expect, test } from 'vitest';
import { sharedDefinitions } from '../../src/query/definitions.ts';
import { COVERAGE_MACROS, COVERAGE_TABLES, coverageMacros, ofTenants } from '../../src/query/split-coverage.ts';

const definitions = await sharedDefinitions();
const OF_SEGMENTS = new RegExp(`\\b(from|join) (${Object.keys(COVERAGE_TABLES).join('|')})\\b`);

test('every shared definition that reads coverage is computed per tenant', () => {
  const readers = definitions.filter(({ select }) => OF_SEGMENTS.test(select)).map(({ name }) => name);
  expect(readers.toSorted()).toEqual(COVERAGE_MACROS.filter((name) => readers.includes(name)).toSorted());
});

test('what is computed per tenant reads nothing that has a row per segment', () => {
  const statements = coverageMacros(definitions);
  expect(statements).toHaveLength(2 * COVERAGE_MACROS.length);
  for (const name of COVERAGE_MACROS) {
    const statement = statements.find((each) => each.includes(`macro ${ofTenants(name)}(`)) ?? '';
    const [, body = ''] = statement.split(' as table ');
    expect(body).toMatch(/split_\w+/);
    expect(body).not.toMatch(OF_SEGMENTS);
    for (const other of COVERAGE_MACROS) expect(body).not.toMatch(new RegExp(`[^_]\\b${other}\\(`));
  }
});
