import { createRequire } from 'node:module';
import { SandboxError } from '../error.ts';
import { TABLES, TABLE_NAMES } from '../tables.ts';
import { KqlError, unsupported } from './error.ts';
import { useKinds } from './syntax.ts';
import type { KustoList, SyntaxNode } from './syntax.ts';

interface Diagnostic {
  readonly Code: string;
  readonly Severity: string;
  readonly Message: string;
  readonly Start: number;
  readonly Length: number;
}

interface KustoCode {
  readonly Syntax: SyntaxNode;
  GetDiagnostics(): KustoList<Diagnostic>;
  GetSyntaxDiagnostics(): KustoList<Diagnostic>;
}

interface Globals {
  WithCache(): Globals;
  WithDatabase(database: object): Globals;
}

/** The parts that we use of the global namespace of Microsoft's compiled C# library. */
interface KustoLanguage {
  readonly GlobalState: { readonly Default: Globals };
  readonly KustoCode: { ParseAndAnalyze(text: string, globals: Globals): KustoCode };
  readonly Symbols: {
    readonly TableSymbol: { readonly $ctor7: new (name: string, schema: string, description: null) => object };
    readonly DatabaseSymbol: { readonly ctor: new (name: string, members: readonly object[]) => object };
  };
  readonly Syntax: { readonly SyntaxKind: Readonly<Record<string, unknown>> };
}

declare global {
  var Kusto: { readonly Language: KustoLanguage } | undefined;
}

/** Syntax trees of the latest queries. Each takes some hundred kB. */
const KEPT_TREES = 128;

/** Parses and analyses a query. Returns its syntax tree, or throws the error with which the engine would reject it. */
export type Analyse = (query: string) => SyntaxNode;

let loaded: Analyse | undefined;

/**
 * Loads Microsoft's parser on first use. It takes 1 to 4 s with the first query and about 160 MB of memory (31 MB of script), so only a
 * process that executes KQL loads it.
 */
export function loadLanguage(): Analyse {
  loaded ??= load();
  return loaded;
}

/** `import` would scan 4 MB of script for exports that there are not: 0.7 of 5 s. */
const fromHere = createRequire(import.meta.url);
/** An optional peer dependency: installing insights-etl does not install its 31 MB. */
const PARSER = '@kusto/language-service-next';
const PARSER_VERSION = '12.4.1';
const SCRIPTS = [`${PARSER}/bridge.min.js`, `${PARSER}/Kusto.Language.Bridge.min.js`];

/** Throws if the parser is not installed. Quick: it does not load the parser. */
export function requireParser(): void {
  try {
    for (const script of SCRIPTS) fromHere.resolve(script);
  } catch (cause) {
    throw new SandboxError(`Executing KQL needs Microsoft's parser, which is not installed.`, {
      hint: `Run \`npm install ${PARSER}@${PARSER_VERSION}\`, with -g if insights-etl was installed with -g. Of the container image, build the target "demo".`,
      cause,
    });
  }
}

function load(): Analyse {
  requireParser();
  for (const script of SCRIPTS) fromHere(script);
  if (!globalThis.Kusto) throw new Error('The KQL parser did not load.');
  const kusto = globalThis.Kusto.Language;
  useKinds(kusto.Syntax.SyntaxKind);
  const tables = TABLE_NAMES.map((name) => {
    const schema = TABLES[name].columns.map((column) => `${column.name}: ${column.type}`).join(', ');
    return new kusto.Symbols.TableSymbol.$ctor7(name, `(${schema})`, null);
  });
  const globals = kusto.GlobalState.Default.WithDatabase(
    new kusto.Symbols.DatabaseSymbol.ctor('Insights', tables),
  ).WithCache();
  // A run repeats the same queries, and analysis takes most of the time of a small query (20 of 30 ms).
  const known = new Map<string, SyntaxNode>();
  const analyse: Analyse = (query) => {
    // Control commands are not queries, and their grammar is large and slow to build.
    if (/^\s*\./.test(query))
      throw new KqlError('SYN', 'Syntax error: SYN0001: control commands are not queries', query.trim());
    const code = analysed(kusto, query, globals);
    refuse(query, code.GetSyntaxDiagnostics(), true);
    refuse(query, code.GetDiagnostics(), false);
    return code.Syntax;
  };
  return (query) => {
    const tree = known.get(query) ?? analyse(query);
    known.delete(query);
    known.set(query, tree);
    for (const oldest of known.keys()) {
      if (known.size <= KEPT_TREES) break;
      known.delete(oldest);
    }
    return tree;
  };
}

/** The library's analyser throws on some graph constructs. Such a query is rejected too. */
function analysed(kusto: KustoLanguage, query: string, globals: Globals): KustoCode {
  try {
    return kusto.KustoCode.ParseAndAnalyze(query, globals);
  } catch {
    return unsupported('the query');
  }
}

function refuse(query: string, diagnostics: KustoList<Diagnostic>, syntactic: boolean): void {
  for (let index = 0; index < diagnostics.Count; index++) {
    const { Severity, Code, Message, Start, Length } = diagnostics.getItem(index);
    if (Severity !== 'Error') continue;
    const construct = query.slice(Start, Start + Length);
    if (syntactic) {
      const place = position(query, Start);
      throw new KqlError('SYN', `Syntax error: SYN0002: ${Message} [line:position=${place}]`, construct);
    }
    const text = engineText(Code, Message, construct);
    throw new KqlError('SEM', `Semantic error: ${text}`, construct);
  }
}

/** `2:15`: the line, counted from 1, and the character, counted from 0, as in the engine. */
function position(query: string, offset: number): string {
  const lines = query.slice(0, offset).split('\n');
  return `${lines.length}:${lines.at(-1)?.length ?? 0}`;
}

/** The engine's message where it is known, otherwise the library's message with its number. */
function engineText(code: string, message: string, construct: string): string {
  if (code === 'KS142') return `SEM0100: Failed to resolve column or scalar expression named '${construct}'`;
  if (code === 'KS204') return `SEM0100: Failed to resolve table or column expression named '${construct}'`;
  const operands = /^The operator '(?:[<>]=?|==|!=)' is not defined for the operand types (\w+) and (\w+)/.exec(
    message,
  );
  if (operands) {
    return `SEM0064: Cannot compare values of types ${operands[1]} and ${operands[2]}. Try adding explicit casts`;
  }
  return `SEM0019: ${message} (${code})`;
}
