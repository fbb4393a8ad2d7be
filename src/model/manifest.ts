/** `manifest.json`: the published snapshot for readers without DuckDB. docs/lake.md explains the fields. */
import { z } from 'zod';

/** A published file; `file` is relative to the manifest. */
const FILE = z.object({ file: z.string(), rows: z.number(), bytes: z.number(), sha256: z.string() });

const PARTITION = FILE.extend({
  period: z.string(),
  /** The set of promoted columns in the file, `null` for none. If it differs from the table's, `rebuild` is due. */
  promotion: z.string().nullable().default(null),
  /** Whole numbers as text: they can exceed 2^53. */
  fingerprint: z.object({
    rows: z.string(),
    sum0: z.string(),
    sum1: z.string(),
    xor: z.string(),
    content: z.string().optional(),
  }),
  minTimestamp: z.string(),
  maxTimestamp: z.string(),
});

const COVERAGE = z.object({
  state: z.string(),
  grade: z.string(),
  hours: z.number(),
  from: z.string(),
  /** End of the last hour. */
  to: z.string(),
  sourceRows: z.number(),
  lakeRows: z.number(),
  duplicateRows: z.number(),
  quarantinedRows: z.number(),
});

const TABLE = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string(), comment: z.string() })),
  /** The set of promoted columns among them. */
  promotion: z.string().default(''),
  tenants: z.record(z.string(), z.object({ partitions: z.array(PARTITION), coverage: z.array(COVERAGE) })),
});

const MART = FILE.extend({
  comment: z.string(),
  /** Number of tenants' days in the file, the first and the last of them; `null` when there are none. */
  days: z.number(),
  firstDay: z.string().nullable(),
  lastDay: z.string().nullable(),
});

/** Fields that early versions did not write have defaults. */
const MANIFEST = z.object({
  version: z.literal(1),
  /** The version of the program that wrote it. Earlier ones lack it. */
  program: z.string().optional(),
  snapshot: z.number(),
  publishedAt: z.string(),
  run: z.string(),
  tables: z.record(z.string(), TABLE),
  /** Results of reports by day, by the report's name. */
  marts: z.record(z.string(), MART).default({}),
});

export type Manifest = z.output<typeof MANIFEST>;
export type ManifestPartition = z.output<typeof PARTITION>;
export type ManifestTenant = Manifest['tables'][string]['tenants'][string];

/** Throws for text that is not a manifest. */
export function parseManifest(json: string): Manifest {
  return MANIFEST.parse(JSON.parse(json));
}

/** The snapshot number, also of a manifest whose other fields cannot be read; `undefined` when there is none. */
export function snapshotNumber(json: string): number | undefined {
  try {
    return MANIFEST.pick({ snapshot: true }).parse(JSON.parse(json)).snapshot;
  } catch {
    return undefined;
  }
}

/** Every tenant of which a table knows anything, in an order that depends on nothing else. */
export function manifestTenants({ tables }: Manifest): readonly string[] {
  return [...new Set(Object.values(tables).flatMap(({ tenants }) => Object.keys(tenants)))].toSorted();
}

/** The partitions of all tables and tenants. */
export function manifestPartitions({ tables }: Manifest): readonly ManifestPartition[] {
  return Object.values(tables)
    .flatMap(({ tenants }) => Object.values(tenants))
    .flatMap(({ partitions }) => partitions);
}
