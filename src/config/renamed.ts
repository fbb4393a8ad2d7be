/**
 * Keys that had another name in an earlier version of the program: old path → new path, `tenants[].key` inside of lists. Whoever renames
 * a key in the schema adds it here, and raises `version` there. A file with an old name is refused, and told the new one: a
 * value is never taken from a key whose meaning may have changed with its name.
 */
export const RENAMED: Readonly<Record<string, string>> = {};
