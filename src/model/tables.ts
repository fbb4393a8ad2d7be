/**
 * The three tables of the source: the only definition of their columns, types, id and retention. KQL projections, staging SQL
 * and the lake's schema derive from it.
 * Source: the Insights API guide (docs.thewalletcrew.io/develop/guides/insights-api).
 */
import { DEFAULT_PROMOTED } from './promoted.ts';
import type { PrivacyRule } from './privacy.ts';
import type { PromotedColumn } from './promoted.ts';

type KqlType = 'guid' | 'datetime' | 'string' | 'dynamic';
export type TableName = 'Logs' | 'Events' | 'Metrics';

interface SourceColumn {
  /** The source's name. */
  readonly name: string;
  readonly type: KqlType;
  /** The lake's name. */
  readonly lake: string;
  /**
   * The column holds any JSON value. `tostring()` would not distinguish "5" from 5, nor null from "", so the page query packs
   * it into a one-element array.
   */
  readonly anyJson?: true;
}

export interface Table {
  readonly name: TableName;
  /** Folder and view name in the lake. */
  readonly lakeName: 'logs' | 'events' | 'metrics';
  readonly columns: readonly SourceColumn[];
  readonly id: string;
  readonly typeColumn: string;
  /** Days for which the source keeps a row; `undefined` = forever. */
  readonly retentionDays: number | undefined;
  /** Columns of the lake that are extracted from `properties`. */
  readonly promoted: readonly PromotedColumn[];
  /** Rules for the parts of `properties` that are not stored as the source sends them. */
  readonly privacy: readonly PrivacyRule[];
}

const logAndEventColumns = [
  { name: 'eventId', type: 'guid', lake: 'event_id' },
  { name: 'timestamp', type: 'datetime', lake: 'timestamp' },
  { name: 'tenantId', type: 'string', lake: 'source_tenant_id' },
  { name: 'eventType', type: 'string', lake: 'event_type' },
  { name: 'operationId', type: 'string', lake: 'operation_id' },
  { name: 'properties', type: 'dynamic', lake: 'properties' },
] as const satisfies readonly SourceColumn[];

export const TABLES: Tables = {
  Logs: {
    name: 'Logs',
    lakeName: 'logs',
    columns: logAndEventColumns,
    id: 'eventId',
    typeColumn: 'eventType',
    retentionDays: 45,
    promoted: DEFAULT_PROMOTED.Logs,
    privacy: [],
  },
  Events: {
    name: 'Events',
    lakeName: 'events',
    columns: logAndEventColumns,
    id: 'eventId',
    typeColumn: 'eventType',
    retentionDays: undefined,
    promoted: DEFAULT_PROMOTED.Events,
    privacy: [],
  },
  Metrics: {
    name: 'Metrics',
    lakeName: 'metrics',
    columns: [
      { name: 'metricId', type: 'guid', lake: 'metric_id' },
      { name: 'tenantId', type: 'string', lake: 'source_tenant_id' },
      { name: 'metricType', type: 'string', lake: 'metric_type' },
      { name: 'value', type: 'dynamic', lake: 'value', anyJson: true },
      { name: 'properties', type: 'dynamic', lake: 'properties' },
      { name: 'timestamp', type: 'datetime', lake: 'timestamp' },
    ],
    id: 'metricId',
    typeColumn: 'metricType',
    retentionDays: undefined,
    promoted: DEFAULT_PROMOTED.Metrics,
    privacy: [],
  },
};

export type Tables = Readonly<Record<TableName, Table>>;

/** In order of urgency: the source deletes only Logs after a time. */
export const TABLE_NAMES = ['Logs', 'Events', 'Metrics'] as const satisfies readonly TableName[];

/** The table with this name; `undefined` when there is none. */
export function findTable(name: unknown): TableName | undefined {
  return TABLE_NAMES.find((table) => table === name);
}

/** The table with this name in the lake; `undefined` when there is none. */
export function findLakeTable(lakeName: unknown): TableName | undefined {
  return TABLE_NAMES.find((table) => TABLES[table].lakeName === lakeName);
}

/** An id that many rows may have, because the source did not give them one. */
export const NIL_ID = '00000000-0000-0000-0000-000000000000';
