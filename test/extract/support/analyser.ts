import { createRequire } from 'node:module';
import { TABLES } from '../../../src/model/tables.ts';

interface List<T> {
  readonly Count: number;
  getItem(index: number): T;
}

interface Code {
  GetDiagnostics(): List<{ readonly Severity: string; readonly Code: string; readonly Message: string }>;
  readonly ResultType: {
    readonly Columns: List<{ readonly Name: string; readonly Type: { readonly Name: string } }>;
  } | null;
}

interface Language {
  readonly GlobalState: { readonly Default: { WithDatabase(database: unknown): unknown } };
  readonly KustoCode: { ParseAndAnalyze(text: string, globals: unknown): Code };
  readonly Symbols: {
    readonly TableSymbol: { readonly $ctor7: new (name: string, schema: string, description: null) => unknown };
    readonly DatabaseSymbol: { readonly ctor: new (name: string, members: unknown[]) => unknown };
  };
}

export interface Analysis {
  /** `CODE: message` of every diagnostic, including warnings. */
  readonly problems: readonly string[];
  /** Result columns in order, as `name: type`. */
  readonly columns: readonly string[];
}

// The global name under which the library registers itself. Typed as string, because the interfaces above describe it.
const GLOBAL: string = 'Kusto';

/** Microsoft's own KQL parser and analyser, loaded with the schema of the three tables. */
export async function loadAnalyser(): Promise<(query: string) => Analysis> {
  const parts = ['bridge.min.js', 'Kusto.Language.Bridge.min.js'];
  const load = createRequire(import.meta.url);
  for (const part of parts) load(`@kusto/language-service-next/${part}`);
  const { Language: kusto }: { Language: Language } = Reflect.get(globalThis, GLOBAL);
  const tables = Object.values(TABLES).map(({ name, columns }) => {
    const schema = columns.map((column) => `${column.name}: ${column.type}`).join(', ');
    return new kusto.Symbols.TableSymbol.$ctor7(name, `(${schema})`, null);
  });
  const globals = kusto.GlobalState.Default.WithDatabase(new kusto.Symbols.DatabaseSymbol.ctor('insights', tables));
  return (query) => {
    const code = kusto.KustoCode.ParseAndAnalyze(query, globals);
    const columns = code.ResultType?.Columns;
    return {
      problems: items(code.GetDiagnostics()).map(({ Code, Message }) => `${Code}: ${Message}`),
      columns: columns ? items(columns).map(({ Name, Type }) => `${Name}: ${Type.Name}`) : [],
    };
  };
}

function items<T>(list: List<T>): T[] {
  return Array.from({ length: list.Count }, (_, index) => list.getItem(index));
}
