/**
 * The common form of all spellings of a type: the vendor's documentation writes `Pass:Installed` and `pass.created`. Rules for types
 * and names of views are the same for all spellings, wherever they are compared.
 */

export function commonType(type: string): string {
  return type.toLowerCase().replaceAll('.', ':');
}

/** DuckDB expression of the common form. */
export function commonTypeSql(type: string): string {
  return `replace(lower(${type}), '.', ':')`;
}

/** KQL expression of the common form. */
export function commonTypeKql(type: string): string {
  return `replace_string(tolower(${type}), '.', ':')`;
}
