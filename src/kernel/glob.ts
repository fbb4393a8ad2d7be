/**
 * Patterns with wildcards, translated for each engine that matches them. `*` matches any characters. `?` matches one
 * character where names are meant (tenants) and is an ordinary character elsewhere (JSON keys, event types).
 */
export interface GlobOptions {
  /** `?` matches one character. @default false */
  readonly questionMark?: boolean;
}

/** For JavaScript: matches the whole text, line breaks included. */
export function globRegExp(glob: string, options: GlobOptions = {}): RegExp {
  return new RegExp(`^${globPattern(glob, options)}$`, 's');
}

/** A regular expression without anchors, as JavaScript and RE2 (KQL's `matches regex`) both read it. */
export function globPattern(glob: string, { questionMark = false }: GlobOptions = {}): string {
  return glob.replaceAll(/[\\^$.|?*+()[\]{}]/g, (character) => {
    if (character === '*') return '.*';
    return character === '?' && questionMark ? '.' : `\\${character}`;
  });
}

/** The text of DuckDB's `glob` operator, in which `[`, `?` and `\` are special too. */
export function globDuckDb(glob: string, { questionMark = false }: GlobOptions = {}): string {
  return glob.replaceAll(/[[?\\]/g, (character) => {
    if (character === '?' && questionMark) return character;
    return `[${character === '\\' ? '\\\\' : character}]`;
  });
}
