/** Columns as a Delta table describes them. Pure. */

export interface DeltaColumn {
  readonly name: string;
  /** DuckDB's type. */
  readonly type: string;
  readonly comment: string;
}

type DeltaType = string | { readonly type: 'array'; readonly elementType: DeltaType; readonly containsNull: true };

const TYPES: ReadonlyMap<string, string> = new Map([
  ['VARCHAR', 'string'],
  // Text in the files.
  ['JSON', 'string'],
  ['BOOLEAN', 'boolean'],
  ['TINYINT', 'byte'],
  ['SMALLINT', 'short'],
  ['INTEGER', 'integer'],
  ['BIGINT', 'long'],
  ['FLOAT', 'float'],
  ['DOUBLE', 'double'],
  // What DuckDB writes to a Parquet file for them.
  ['HUGEINT', 'double'],
  ['UHUGEINT', 'double'],
  ['DATE', 'date'],
  ['TIMESTAMP WITH TIME ZONE', 'timestamp'],
  ['BLOB', 'binary'],
]);

/**
 * Delta's type of a column. Undefined: a table that every reader can open has no such type, for example no timestamp without a time zone
 * and no unsigned number.
 */
function deltaType(type: string): DeltaType | undefined {
  if (type.endsWith('[]')) {
    const elementType = deltaType(type.slice(0, -2));
    return elementType === undefined ? undefined : { type: 'array', elementType, containsNull: true };
  }
  const [, precision, scale] = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(type) ?? [];
  return precision === undefined ? TYPES.get(type) : `decimal(${precision},${scale})`;
}

/** A table without column mapping cannot have such a name. */
const REFUSED_NAME = /[ ,;{}()\n\t=]/;

/** The text of a schema. Columns that Delta cannot have are left out; readers then ignore them in the files. */
export function schemaText(columns: readonly DeltaColumn[]): string {
  const fields = columns.flatMap(({ name, type: duckType, comment }) => {
    const type = deltaType(duckType);
    if (type === undefined || REFUSED_NAME.test(name)) return [];
    return [{ name, type, nullable: true, metadata: comment === '' ? {} : { comment } }];
  });
  return JSON.stringify({ type: 'struct', fields });
}
