/**
 * The three tables as the Insights API documents them (docs.thewalletcrew.io/develop/guides/insights-api). The pipeline has
 * its own list: a shared one would hide mistakes.
 */
export type KqlType = 'guid' | 'datetime' | 'string' | 'dynamic';
export type TableName = 'Logs' | 'Events' | 'Metrics';

export interface Table {
  readonly name: TableName;
  /** Name of a recorded data set: `<fileName>.ndjson` or `<fileName>.ndjson.gz`. */
  readonly fileName: string;
  readonly columns: readonly { readonly name: string; readonly type: KqlType }[];
  readonly id: 'eventId' | 'metricId';
  readonly typeColumn: 'eventType' | 'metricType';
}

const EVENT_COLUMNS: Table['columns'] = [
  { name: 'eventId', type: 'guid' },
  { name: 'timestamp', type: 'datetime' },
  { name: 'tenantId', type: 'string' },
  { name: 'eventType', type: 'string' },
  { name: 'operationId', type: 'string' },
  { name: 'properties', type: 'dynamic' },
];

export const TABLES: Readonly<Record<TableName, Table>> = {
  Logs: { name: 'Logs', fileName: 'logs', columns: EVENT_COLUMNS, id: 'eventId', typeColumn: 'eventType' },
  Events: { name: 'Events', fileName: 'events', columns: EVENT_COLUMNS, id: 'eventId', typeColumn: 'eventType' },
  Metrics: {
    name: 'Metrics',
    fileName: 'metrics',
    columns: [
      { name: 'metricId', type: 'guid' },
      { name: 'tenantId', type: 'string' },
      { name: 'metricType', type: 'string' },
      { name: 'value', type: 'dynamic' },
      { name: 'properties', type: 'dynamic' },
      { name: 'timestamp', type: 'datetime' },
    ],
    id: 'metricId',
    typeColumn: 'metricType',
  },
};

export const TABLE_NAMES = ['Logs', 'Events', 'Metrics'] as const satisfies readonly TableName[];
