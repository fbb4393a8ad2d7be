/** What `reader.mjs` gives to a test that knows what its reads must be. */
export function contentSql(table: 'events' | 'logs' | 'metrics', from: string): string;
export function filesOf(manifest: unknown, folder: string, table: 'events' | 'logs' | 'metrics'): string | undefined;
