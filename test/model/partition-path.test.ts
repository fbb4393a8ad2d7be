/** Names of tenants in folder names: readers of hive partitions take each of them for text, and no two tenants share one. */
import { assert, constantFrom, oneof, property, stringMatching } from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { TENANT_ID } from '../../src/config/schema.ts';
import { parseGenerationFile } from '../../src/model/data-path.ts';
import { generationFile, hiveName, tenantOfHiveName } from '../../src/model/partition-path.ts';
import { periodOf } from '../../src/model/period.ts';

// Measured with pandas 3.1, polars 2.1, pyarrow 26, DuckDB 2.0, Spark 4.3 and chDB 4.4: some reader takes each of these for something else.
const MISREAD = ['007', '7', '0x1F', '1e5', '1E5', '1d', '1f', '12.5', '99999999999999999999999', '1e999', '2026-10-01', '2026-10-01T00', 'null', 'NULL', 'Null', 'NaN', 'true', 'false', 'inf', 'Infinity']; // oxfmt-ignore
const PLAIN = ['acme', 'my-brand.eu', 'A-B', 'nullable', 'e5', 'infinite-shop'];

describe('the name of a tenant in a folder name', () => {
  test.each(MISREAD)('%s gets an underscore in front', (tenant) => {
    expect(hiveName(tenant)).toBe(`_${tenant}`);
  });

  test.each(PLAIN)('%s is the id itself', (tenant) => {
    expect(hiveName(tenant)).toBe(tenant);
  });

  it('is different for each tenant, and is neither a number nor a word for null, a boolean or a number', () => {
    const tenant = oneof(stringMatching(TENANT_ID), constantFrom(...MISREAD, ...PLAIN));
    assert(
      property(tenant, (id) => {
        const name = hiveName(id);
        expect(tenantOfHiveName(name)).toBe(id);
        expect(name).not.toMatch(/^(\d.*|null|na|none|nan|true|false|inf|infinity)$/i);
      }),
    );
  });

  it('is read from paths, also from those of earlier versions, which hold the id itself', () => {
    const period = periodOf('2026-07-03');
    const path = generationFile('Events', '007', '2026-07-03', 3);
    expect(path).toBe('store/events/tenant_id=_007/month=2026-07/2026-07-03.3.parquet');
    for (const file of [path, path.replace('_007', '007')])
      expect(parseGenerationFile(file)).toEqual({ table: 'Events', tenant: '007', period, generation: 3 });
  });
});
