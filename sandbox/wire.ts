/**
 * The wire form of an answer, as the engine writes it and as services in front of it are known to change it. SQL turns each
 * row into one JSON text, so that rows never become JavaScript objects. Dynamic values are sent exactly as stored.
 */

export interface WireOptions {
  /**
   * `rows`: `{"rows":[…]}`; `columns`: the same with `columns` first; `v1`: `{"Tables":[{TableName,Columns,Rows}]}`; `v2`:
   * an array of frames; `tables`: `{"tables":[{name,columns,rows}]}`; `array`: only the array. @default 'rows'
   */
  readonly shape: 'rows' | 'columns' | 'v1' | 'v2' | 'tables' | 'array';
  /** Each row as an array of cells or as an object keyed by column. @default 'array' */
  readonly row: 'array' | 'object';
  /** `full`: seven fractional digits; `trimmed`: without trailing zeros. @default 'full' */
  readonly datetime: 'full' | 'trimmed';
  /** Dynamic values as JSON, or as a string that contains JSON. @default 'nested' */
  readonly dynamic: 'nested' | 'text';
  /** `indented`: with line breaks and blanks between all parts of the body. @default 'compact' */
  readonly layout: 'compact' | 'indented';
  /** Compress the body if the client accepts gzip. @default false */
  readonly gzip: boolean;
}

/** A result column with its KQL type, as the compiler names it. */
export interface ResultColumn {
  readonly name: string;
  readonly type: string;
}

/** The parts of a body before and after its rows. `after` takes members (`"error":{…}`) to add next to the rows. */
export interface Envelope {
  readonly before: string;
  readonly after: (trailer?: string) => string;
}

export const DEFAULT_WIRE: WireOptions = {
  shape: 'rows',
  row: 'array',
  datetime: 'full',
  dynamic: 'nested',
  layout: 'compact',
  gzip: false,
};

/** A query with one text column: each row of `sql` as JSON text. */
export function rowsAsJson(sql: string, columns: readonly ResultColumn[], wire: WireOptions): string {
  const names = columns.map((_, index) => `c${index}`);
  const cells = columns.map((column, index) => {
    const cell = cellAsJson(`c${index}`, column.type, wire);
    return wire.row === 'object' ? `${sqlText(`${JSON.stringify(column.name)}:`)}, ${cell}` : cell;
  });
  const [open, close] = wire.row === 'object' ? ['{', '}'] : ['[', ']'];
  return `select concat('${open}', ${cells.join(`, ',', `)}, '${close}') from (${sql}) q(${names.join(', ')})`;
}

function cellAsJson(cell: string, type: string, wire: WireOptions): string {
  switch (type) {
    case 'bool':
    case 'int':
    case 'long':
      return `coalesce(${cell}::varchar, 'null')`;
    case 'real':
      return `case when ${cell} is null then 'null' when isnan(${cell}) then '"NaN"' when isinf(${cell}) then if(${cell} > 0, '"Infinity"', '"-Infinity"') else to_json(${cell})::varchar end`;
    case 'decimal':
      return `coalesce('"' || ${cell}::varchar || '"', 'null')`;
    case 'datetime': {
      const full = `kql_datetime_text(${cell})`;
      const text = wire.datetime === 'full' ? full : `regexp_replace(${full}, '\\.?0*Z$', 'Z')`;
      return `coalesce('"' || ${text} || '"', 'null')`;
    }
    case 'timespan':
      return `coalesce('"' || kql_timespan_text(${cell}) || '"', 'null')`;
    case 'guid':
      return `coalesce('"' || ${cell} || '"', 'null')`;
    case 'dynamic':
      return wire.dynamic === 'nested'
        ? `coalesce(${cell}, 'null')`
        : `case when ${cell} is null then 'null' when starts_with(${cell}, '"') then ${cell} else to_json(${cell})::varchar end`;
    default:
      return `to_json(coalesce(${cell}, ''))::varchar`;
  }
}

/** The same JSON with line breaks and indents. Only the space between its parts changes, so numbers and texts stay as written. */
export function indented(json: string): string {
  let depth = 0;
  const line = (): string => `\n${'  '.repeat(depth)}`;
  return json.replaceAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/gs, (part) => {
    if (part === ':') return ': ';
    if (part === ',') return `,${line()}`;
    if (part === '{' || part === '[') {
      depth++;
      return `${part}${line()}`;
    }
    if (part !== '}' && part !== ']') return part;
    depth--;
    return `${line()}${part}`;
  });
}

/** The body around the rows. */
export function envelope(columns: readonly ResultColumn[], wire: WireOptions): Envelope {
  const list = (member: (column: ResultColumn) => object): string => JSON.stringify(columns.map(member));
  switch (wire.shape) {
    case 'rows':
      return { before: '{"rows":[', after: (trailer) => `]${trailer ? `,${trailer}` : ''}}` };
    case 'columns': {
      const heads = list(({ name, type }) => ({ name, type }));
      return { before: `{"columns":${heads},"rows":[`, after: (trailer) => `]${trailer ? `,${trailer}` : ''}}` };
    }
    case 'tables': {
      const heads = list(({ name, type }) => ({ name, type }));
      return {
        before: `{"tables":[{"name":"PrimaryResult","columns":${heads},"rows":[`,
        after: (trailer) => `]}]${trailer ? `,${trailer}` : ''}}`,
      };
    }
    case 'v1': {
      const heads = list(({ name, type }) => ({
        ColumnName: name,
        DataType: DOTNET_TYPE[type] ?? 'String',
        ColumnType: type,
      }));
      return {
        before: `{"Tables":[{"TableName":"Table_0","Columns":${heads},"Rows":[`,
        after: (trailer) => `]}]${trailer ? `,${trailer}` : ''}}`,
      };
    }
    case 'v2': {
      const heads = list(({ name, type }) => ({ ColumnName: name, ColumnType: type }));
      return {
        before:
          '[{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0"},' +
          '{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties",' +
          '"Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},' +
          '{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[[1,"Visualization","{}"]]},' +
          `{"FrameType":"DataTable","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":${heads},"Rows":[`,
        after: (trailer) =>
          `]},{"FrameType":"DataSetCompletion","HasErrors":${trailer !== undefined},"Cancelled":false${trailer ? `,${trailer}` : ''}}]`,
      };
    }
    case 'array':
    default:
      return { before: '[', after: (trailer) => (trailer ? `,{${trailer}}]` : ']') };
  }
}

const DOTNET_TYPE: Readonly<Record<string, string>> = {
  bool: 'SByte',
  int: 'Int32',
  long: 'Int64',
  real: 'Double',
  decimal: 'SqlDecimal',
  datetime: 'DateTime',
  timespan: 'TimeSpan',
  guid: 'Guid',
  dynamic: 'Object',
};

function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
