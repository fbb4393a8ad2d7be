import { DYNAMIC_MACROS } from './macros-dynamic.ts';
import { TEXT_MACROS } from './macros-text.ts';
import { TIME_MACROS } from './macros-time.ts';

/**
 * SQL to run once in every DuckDB that executes compiled queries. These are macros, so that DuckDB expands them when it
 * plans a query: constant arguments are folded, and comparisons can prune.
 */
export const KQL_MACROS: string = [TIME_MACROS, TEXT_MACROS, DYNAMIC_MACROS].join('\n');
