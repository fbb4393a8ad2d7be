/**
 * The instants of a query. A pipeline sends the same queries again and again with other instants, and analysing a query takes most of
 * the time of executing it. So a query is analysed once for all of its instants: with placeholders, which the translation replaces.
 */

export interface WithoutInstants {
  /** The query with a placeholder for each instant. */
  readonly query: string;
  /** Each placeholder, and the instant that the query has in its place. */
  readonly instants: ReadonlyMap<string, string>;
}

const INSTANT = /(?<=datetime\(|')(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,7})?Z(?=\)|')/g;
/** No source has rows of that year. */
const PLACEHOLDERS = '1871-01-01T00:00:00';

export function withoutInstants(query: string): WithoutInstants {
  const instants = new Map<string, string>();
  if (query.includes(PLACEHOLDERS)) return { query, instants };
  const text = query.replace(INSTANT, (instant, second: string) => {
    if (!exists(second)) return instant;
    const placeholder = `${PLACEHOLDERS}.${String(instants.size).padStart(7, '0')}Z`;
    instants.set(placeholder, instant);
    return placeholder;
  });
  return { query: text, instants };
}

/** The analyser rejects instants that do not exist, such as February 30. */
function exists(second: string): boolean {
  const ms = Date.parse(`${second}Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(second);
}

let current: ReadonlyMap<string, string> = new Map();

/** While `work` runs, `asWritten` gives the instants in place of their placeholders. */
export function withInstants<T>(instants: ReadonlyMap<string, string>, work: () => T): T {
  current = instants;
  try {
    return work();
  } finally {
    current = new Map();
  }
}

/** A literal as the query has it. */
export function asWritten<T>(literal: T): T | string {
  return typeof literal === 'string' ? (current.get(literal) ?? literal) : literal;
}
