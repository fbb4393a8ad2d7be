import { describe, expect, it } from 'vitest';
import { sharedDefinitions } from '../../src/query/definitions.ts';

describe('shared definitions', () => {
  it('mean the same in a catalogue that is opened again: DuckDB forgets `not materialized`, and would keep all rows in memory', async () => {
    const definitions = await sharedDefinitions();
    expect(definitions.length).toBeGreaterThan(20);
    expect(definitions.filter(({ select }) => /\bmaterialized\b/i.test(select)).map(({ name }) => name)).toEqual([]);
  });

  it('come after those that they use', async () => {
    const definitions = await sharedDefinitions();
    const names = definitions.map(({ name }) => name);
    for (const { name, uses } of definitions)
      for (const used of uses) expect(names.indexOf(used), `${used} before ${name}`).toBeLessThan(names.indexOf(name));
  });
});
