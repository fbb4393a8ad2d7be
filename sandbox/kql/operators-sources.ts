import { as } from './convert.ts';
import { unsupported } from './error.ts';
import { scalar } from './expressions.ts';
import { sqlName, sqlString } from './literals.ts';
import { projection } from './operators-rows.ts';
import { nameColumns, projectRows } from './relation.ts';
import type { Relation } from './relation.ts';
import type { Scope } from './scope.ts';
import { columnsOf, kindOf, list, part, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import { SQL_TYPES } from './types.ts';
import type { KqlScalarType } from './types.ts';

const ONE_ROW: Relation = { sql: 'select 1', columns: [], order: [] };

export function print(node: SyntaxNode, scope: Scope): Relation {
  const nodes = list(node, 'Expressions');
  const targets = columnsOf(node);
  if (nodes.length !== targets.length) return unsupported(`'${textOf(node)}'`);
  return projectRows(
    ONE_ROW,
    nodes.map((item, index) =>
      projection(scalar(item, { ...scope, columns: [] }), targets[index] ?? unsupported(textOf(item))),
    ),
  );
}

/** `datatable`: the rows keep their written order. */
export function datatable(node: SyntaxNode, scope: Scope): Relation {
  const targets = columnsOf(node);
  const columns = nameColumns(targets);
  const key = sqlName(scope.compilation.unique('key'));
  const values = list(node, 'Values').map((item) => scalar(item, { ...scope, columns: [] }));
  const names = [...columns.map((column) => column.sql), key].join(', ');
  const order = [{ sql: key, direction: 'asc', nulls: 'first' }] as const;
  const rows: string[] = [];
  for (let start = 0; start < values.length; start += targets.length) {
    const cells = targets.map((target, index) => {
      const value = values[start + index] ?? unsupported('datatable', 'has a row that is too short');
      return `(${as(value, target.type)})::${SQL_TYPES[target.type]}`;
    });
    rows.push(`(${[...cells, rows.length].join(', ')})`);
  }
  if (rows.length > 0) return { sql: `select * from (values ${rows.join(', ')}) t(${names})`, columns, order };
  const nothing = columns.map((column) => `null::${SQL_TYPES[column.type]} as ${column.sql}`);
  return { sql: `select ${[...nothing, `0 as ${key}`].join(', ')} where false`, columns, order };
}

/** `range x from a to b step c`: both ends included. */
export function range(node: SyntaxNode, scope: Scope): Relation {
  const [target] = columnsOf(node);
  if (!target) return unsupported(`'${textOf(node)}'`);
  const value = (name: string) => scalar(part(node, name), { ...scope, columns: [] });
  const [from, to, step] = [value('From'), value('To'), value('Step')];
  const whole: readonly KqlScalarType[] = ['int', 'long', 'datetime', 'timespan'];
  const columns = nameColumns([target]);
  const key = sqlName(scope.compilation.unique('key'));
  const order = [{ sql: key, direction: 'asc', nulls: 'first' }] as const;
  const isWhole = whole.includes(target.type);
  const [a, b, by] = [from, to, step].map((bound) => (isWhole ? `(${bound.sql})::bigint` : as(bound, 'real')));
  const count = isWhole ? `((${b}) - (${a})) // nullif(${by}, 0)` : `floor(((${b}) - (${a})) / (${by}) + 1e-9)::bigint`;
  const steps = `coalesce(greatest(${count} + 1, 0), 0)`;
  // A table function takes only constants. If a bound is a query, the steps are made from a list.
  const series = /\bselect\b/.test(steps)
    ? `(select unnest(range(${steps})) as i)`
    : `(select range as i from range(${steps}))`;
  return {
    sql: `select (${a} + i * ${by})::${SQL_TYPES[target.type]} as ${columns[0]?.sql ?? ''}, i as ${key} from ${series}`,
    columns,
    order,
  };
}

/** `getschema`: the columns of the input. Its rows are not read. */
export function getSchema(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const columns = nameColumns(columnsOf(node));
  const rows = input.columns.map((column, index) => {
    const cells = [
      sqlString(column.name),
      `${index}::bigint`,
      sqlString(DOTNET_TYPES[column.type]),
      sqlString(column.type),
    ];
    return `(${cells.join(', ')})`;
  });
  const names = columns.map((column) => column.sql);
  const key = names[1] ?? unsupported(`'${textOf(node)}'`);
  if (kindOf(node) !== 'GetSchemaOperator' || names.length !== 4) return unsupported(`'${textOf(node)}'`);
  const hidden = sqlName(scope.compilation.unique('key'));
  return {
    sql: `select *, ${key} as ${hidden} from (values ${rows.join(', ')}) t(${names.join(', ')})`,
    columns,
    order: [{ sql: hidden, direction: 'asc', nulls: 'first' }],
  };
}

const DOTNET_TYPES: Readonly<Record<KqlScalarType, string>> = {
  bool: 'System.SByte',
  int: 'System.Int32',
  long: 'System.Int64',
  real: 'System.Double',
  decimal: 'System.Data.SqlTypes.SqlDecimal',
  datetime: 'System.DateTime',
  timespan: 'System.TimeSpan',
  guid: 'System.Guid',
  string: 'System.String',
  dynamic: 'System.Object',
};
