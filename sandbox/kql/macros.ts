import { DYNAMIC_MACROS } from './macros-dynamic.ts';
import { TEXT_MACROS } from './macros-text.ts';
import { TIME_MACROS } from './macros-time.ts';

/**
 * SQL to run once in every DuckDB that executes compiled queries. Macros, so that a plan sees through them: a
 * constant argument is folded and a comparison still prunes.
 */
export const KQL_MACROS: string = [TIME_MACROS, TEXT_MACROS, DYNAMIC_MACROS].join('\n');
