import { TABLE_NAMES, TABLES } from '../tables.ts';
import type { TableName } from '../tables.ts';
import { KqlError, unsupported } from './error.ts';
import { scalar } from './expressions.ts';
import { callFunction } from './function-calls.ts';
import { asWritten, withInstants, withoutInstants } from './instants.ts';
import { loadLanguage } from './language.ts';
import { sqlName, sqlValue } from './literals.ts';
import { tabular } from './pipeline.ts';
import { orderBy } from './relation.ts';
import type { Relation } from './relation.ts';
import type { Binding, Compilation, Scope } from './scope.ts';
import { isTabular, kindOf, list, optionalPart, part, scalarType, simpleName, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

export type { KqlScalarType } from './types.ts';

export interface CompileContext {
  /** The value of `now()`: ticks of 100 ns since 1970. */
  readonly nowTicks: bigint;
  /** Values of `declare query_parameters`, as text. */
  readonly parameters: Readonly<Record<string, string>>;
  /** SQL of each table: a select with the columns of `tables.ts` in the storage form of `types.ts`. */
  readonly relations: Readonly<Record<TableName, string>>;
}

export interface CompiledQuery {
  /** One select; its columns correspond to `columns` by position. */
  readonly sql: string;
  readonly columns: readonly { readonly name: string; readonly type: KqlScalarType }[];
  /** The options of `set` statements. */
  readonly options: Readonly<Record<string, string>>;
}

/**
 * Loads the parser and returns the compiler from KQL to one DuckDB select. Microsoft's own parser and analyser process the
 * text; the syntax tree becomes SQL in which every value is written according to its type. `KQL_MACROS` must have been run
 * in the connection that executes the SQL. The compiler throws `KqlError` for queries that the engine would reject and for
 * constructs that have no translation here.
 */
export function loadKql(): (query: string, context: CompileContext) => CompiledQuery {
  const analyse = loadLanguage();
  return (query, context) => {
    const { query: text, instants } = withoutInstants(query);
    try {
      return withInstants(instants, () => compile(analyse(text), context));
    } catch (error) {
      if (instants.size === 0 || !(error instanceof KqlError)) throw error;
      // Again, so that the message quotes the query as it was sent.
      return compile(analyse(query), context);
    }
  };
}

function compile(block: SyntaxNode, context: CompileContext): CompiledQuery {
  const options: Record<string, string> = {};
  const shared: string[] = [];
  let names = 0;
  const compilation: Compilation = {
    nowTicks: context.nowTicks,
    table: tabular,
    call: callFunction,
    unique: (prefix) => `kql ${prefix} ${++names}`,
    share: (relation, materialized) => {
      const name = sqlName(compilation.unique('table'));
      shared.push(`${name} as ${materialized ? '' : 'not '}materialized (${relation.sql})`);
      return { ...relation, sql: `select * from ${name}` };
    },
  };
  let scope: Scope = { compilation, bindings: tables(context), columns: [] };
  let answer: Relation | undefined;
  for (const statement of list(block, 'Statements')) {
    switch (kindOf(statement)) {
      case 'LetStatement':
        scope = withBinding(scope, simpleName(part(statement, 'Name')), bind(part(statement, 'Expression'), scope));
        break;
      case 'SetOptionStatement': {
        const value = optionalPart(statement, 'ValueClause');
        options[simpleName(part(statement, 'Name'))] = value ? optionText(part(value, 'Expression')) : 'true';
        break;
      }
      case 'QueryParametersStatement':
        for (const parameter of list(statement, 'Parameters')) scope = withParameter(scope, parameter, context);
        break;
      case 'ExpressionStatement': {
        const expression = part(statement, 'Expression');
        if (answer) return unsupported('more than one query in a request');
        if (!isTabular(expression)) return unsupported(`'${textOf(expression)}'`, 'is not a tabular expression');
        answer = tabular(expression, scope);
        break;
      }
      default:
        return unsupported(`statement '${textOf(statement).split(/\s/, 2).join(' ')}'`);
    }
  }
  if (!answer) throw new KqlError('SEM', 'Semantic error: SEM0001: the query has no tabular expression', 'query');
  return {
    sql: statementOf(answer, shared),
    columns: answer.columns.map(({ name, type }) => ({ name, type })),
    options,
  };
}

function statementOf(answer: Relation, shared: readonly string[]): string {
  const tables = shared.length > 0 ? `with ${shared.join(', ')} ` : '';
  const columns = answer.columns.map((column) => `${column.sql} as ${sqlName(column.name)}`).join(', ');
  const order = answer.order.length > 0 ? ` order by ${orderBy(answer.order)}` : '';
  return `${tables}select ${columns} from (${answer.sql}) answer${order}`;
}

function tables(context: CompileContext): Map<string, Binding> {
  return new Map(
    TABLE_NAMES.map((name): [string, Binding] => {
      const columns = TABLES[name].columns.map((column) => ({
        name: column.name,
        type: column.type,
        sql: sqlName(column.name),
      }));
      const relation = { sql: `select * from ${context.relations[name]}`, columns, order: [] };
      return [name, { kind: 'table', relation }];
    }),
  );
}

/** What a `let` name means: a function, a table (a common table expression) or a scalar (repeated at each use). */
function bind(expression: SyntaxNode, scope: Scope): Binding {
  if (kindOf(expression) === 'FunctionDeclaration') return { kind: 'function', declaration: expression, scope };
  if (!isTabular(expression)) return { kind: 'scalar', value: scalar(expression, scope) };
  const relation = tabular(expression, scope);
  const materialized = kindOf(expression) === 'MaterializeExpression';
  return { kind: 'table', relation: materialized ? relation : scope.compilation.share(relation, false) };
}

function withBinding(scope: Scope, name: string, binding: Binding): Scope {
  return { ...scope, bindings: new Map(scope.bindings).set(name, binding) };
}

function withParameter(scope: Scope, parameter: SyntaxNode, context: CompileContext): Scope {
  const declaration = part(parameter, 'NameAndType');
  const name = simpleName(part(declaration, 'Name'));
  const type = scalarType(part(declaration, 'Type').ReferencedSymbol, name);
  const given = Object.hasOwn(context.parameters, name) ? context.parameters[name] : undefined;
  if (given !== undefined) {
    const content =
      type === 'string' ? given : (new RegExp(`^${type}\\s*\\((.*)\\)$`, 's').exec(given.trim())?.[1] ?? given);
    return withBinding(scope, name, {
      kind: 'scalar',
      value: { sql: sqlValue(type, content), type, known: type === 'string' },
    });
  }
  const standard = optionalPart(parameter, 'DefaultValue');
  if (standard) return withBinding(scope, name, { kind: 'scalar', value: scalar(part(standard, 'Value'), scope) });
  throw new KqlError('parameter', `Semantic error: SEM0001: query parameter '${name}' has no value`, name);
}

function optionText(node: SyntaxNode): string {
  const text = asWritten(node.LiteralValue);
  return typeof text === 'string' ? text : textOf(node);
}
