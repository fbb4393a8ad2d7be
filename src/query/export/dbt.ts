/** The files of a dbt project (https://docs.getdbt.com) whose sources are the tables and views of the catalogue. */
import { stringify } from 'yaml';
import type { FolderFiles } from './folder.ts';

/** A row of the data dictionary; the rows of one table are adjacent. */
export interface Described {
  readonly name: string;
  /** table, view or macro. */
  readonly kind: string;
  readonly holds: string | undefined;
  /** Undefined for a macro, whose columns are known only when it is called. */
  readonly column: string | undefined;
  readonly type: string | undefined;
  readonly columnHolds: string | undefined;
}

/** The name of the project, its profile and its source. */
export const PROJECT = 'insights';

/** `catalogue`: the absolute path of `insights.duckdb`, which the environment of dbt can replace. */
export function dbtFiles(rows: readonly Described[], catalogue: string): FolderFiles {
  const attached = {
    path: `{{ env_var('INSIGHTS_CATALOGUE', ${jinjaText(catalogue)}) }}`,
    alias: 'lake',
    read_only: true,
  };
  // Models are written to a database of their own: the catalogue is read-only.
  const output = {
    type: 'duckdb',
    path: `${PROJECT}_models.duckdb`,
    attach: [attached],
    settings: { TimeZone: 'UTC' },
  };
  return new Map([
    [
      'dbt_project.yml',
      yamlText({ name: PROJECT, version: '1.0', 'config-version': 2, profile: PROJECT, 'model-paths': ['models'] }),
    ],
    ['profiles.yml', yamlText({ [PROJECT]: { target: 'lake', outputs: { lake: output } } })],
    [`models/${PROJECT}/sources.yml`, sourcesYaml(rows)],
    [`models/${PROJECT}/overview.md`, overview(rows)],
  ]);
}

function sourcesYaml(rows: readonly Described[]): string {
  const tables = [...new Set(rows.map(({ name }) => name))].flatMap((name) => {
    const ofTable = rows.filter((row) => row.name === name);
    if (ofTable[0]?.kind === 'macro') return [];
    const columns = ofTable.flatMap(({ column, type, columnHolds }) =>
      column === undefined
        ? []
        : [{ name: column, description: described(columnHolds), data_type: type ?? '', quote: isQuoted(column) }],
    );
    return [{ name, description: described(ofTable[0]?.holds), columns }];
  });
  const source = {
    name: PROJECT,
    description: 'The lake of insights-etl: events, logs and metrics, and what is derived from them.',
    database: 'lake',
    schema: 'main',
    quoting: { identifier: true },
    tables,
  };
  return yamlText({ version: 2, sources: [source] });
}

/** The first page of `dbt docs`. It has the macros, for which dbt has no place of their own. */
function overview(rows: readonly Described[]): string {
  const macros = rows.filter(({ kind }) => kind === 'macro');
  const lines = macros.map(({ name, holds }) => `- \`${described(name)}\`: ${described(holds)}`);
  return `{% docs __overview__ %}
# Insights

The sources are the tables and views of the catalogue. Write \`{{ "{{ source('${PROJECT}', 'passes') }}" }}\` in a model.

Macros of the catalogue, to be called as \`lake.main.<name>(…)\`:

${lines.join('\n')}
{% enddocs %}
`;
}

/** Comments hold names from the source. None of them may start an expression of Jinja, which dbt looks for in texts. */
export function described(text = ''): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return /\{[{%#]/.test(line) ? line.replaceAll('{', "{{ '{' }}") : line;
}

function jinjaText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function isQuoted(column: string): boolean {
  return !/^[a-z_][a-z0-9_]*$/.test(column);
}

export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
