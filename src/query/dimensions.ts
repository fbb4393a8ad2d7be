/**
 * Dimensions: what the rows of a report can be split by (`by=pass_type,platform`) and filtered by (`store=a,b`).
 *
 * A report declares those that it allows in its header, and which of its figures add up over which of them:
 *
 *     -- dimensions: pass_type, platform, promoted          (promoted: the columns that the configuration adds)
 *     -- rows_by: platform                                  (it has one row for each value of these anyway)
 *     -- additive: installs, uninstalls                     (over all dimensions with one value per row)
 *     -- additive: active_passes over pass_type, store      (only over these)
 */
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { listedValues } from './lists.ts';
import type { Parameter, SqlFile } from './sql-file.ts';

/** The dimensions that every lake has, with their names in words. `tenant` needs no declaration. */
const DIMENSIONS = {
  tenant: 'tenant',
  pass_type: 'pass type',
  platform: 'platform',
  store: 'store',
  medium: 'medium',
  origin: 'origin',
  tag: 'tag',
  campaign: 'campaign',
  event_type: 'event type',
} as const;

/** A row can have several values of these, so no figure adds up over them. */
const MULTI_VALUED: readonly string[] = ['tag'];

/** In a header: every promoted column of the configuration. */
export const PROMOTED = 'promoted';

interface Additive {
  readonly figure: string;
  /** Undefined: all dimensions with one value per row. */
  readonly over: readonly string[] | undefined;
}

export interface Dimensions {
  /** Those that `by` and filters accept, without tenant. */
  readonly allowed: readonly string[];
  /** Those by which the report has rows anyway. */
  readonly rowsBy: readonly string[];
  readonly additive: readonly Additive[];
}

const words = (text: string): string[] => text.split(',').map((word) => word.trim());

export function dimensionsOf({ entries }: SqlFile): Dimensions {
  return {
    allowed: entries('dimensions').flatMap(words),
    rowsBy: entries('rows_by').flatMap(words),
    additive: entries('additive').flatMap((text) => {
      const [figures = '', over] = text.split(' over ');
      return words(figures).map((figure) => ({ figure, over: over === undefined ? undefined : words(over) }));
    }),
  };
}

/** The parameters that dimensions add to those of the header. */
export function dimensionParameters({ allowed }: Dimensions, own: readonly Parameter[]): readonly Parameter[] {
  if (!own.some(({ name }) => name === 'tenant')) return [];
  const named = allowed.filter((name) => name !== PROMOTED);
  const text = (name: string, description: string): Parameter => ({ name, kind: 'text', fallback: null, description });
  const added = [
    text('by', `Split by these, separated by commas: ${['tenant', ...allowed].join(', ')}`),
    ...named.map((name) => text(name, `Only these values of ${titleOf(name)}, separated by commas`)),
    { name: 'total', kind: 'boolean', fallback: 'false', description: 'All tenants together instead of each' },
  ];
  return added.filter(({ name }) => !own.some((parameter) => parameter.name === name));
}

export function titleOf(name: string): string {
  return Object.entries(DIMENSIONS).find(([known]) => known === name)?.[1] ?? name;
}

/** What a report is asked for, apart from its own parameters. */
export interface Split {
  /** Dimensions of the columns to add, without tenant. */
  readonly by: readonly string[];
  readonly filters: Readonly<Record<string, readonly string[]>>;
  readonly total: boolean;
}

type Values = Readonly<Record<string, string | null>>;

/** The parts of `by`: a word that the report itself knows, and dimensions. */
export function partsOfBy(
  { allowed, rowsBy }: Dimensions,
  own: readonly string[],
  text: string | null,
  promoted: readonly string[],
): { readonly word: string | undefined; readonly by: readonly string[] } {
  const names = text === null ? [] : listedValues('by', text);
  const known = [...new Set(['tenant', ...own, ...expanded(allowed, promoted), ...rowsBy])];
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new ConfigError(`This report cannot be split by "${name}".`, {
      hint: `${didYouMean(name, known)}Possible: ${known.join(', ')}.`,
      where: { flag: '--param' },
    });
  }
  const [word, ...more] = names.filter((name) => own.includes(name));
  return {
    word,
    by: [
      ...names.filter((name) => !own.includes(name) && !rowsBy.includes(name) && name !== 'tenant'),
      ...more.filter((name) => allowed.includes(name)),
    ],
  };
}

export function expanded(allowed: readonly string[], promoted: readonly string[]): readonly string[] {
  return allowed.flatMap((name) => (name === PROMOTED ? promoted : [name]));
}

/** The values of each filter that is given. */
export function filtersIn(names: readonly string[], values: Values): Split['filters'] {
  return Object.fromEntries(
    ['tenant', ...names].flatMap((name) => {
      const text = values[name] ?? null;
      return text === null ? [] : [[name, listedValues(name, text)] as const];
    }),
  );
}

/** One sentence for each dimension over which some of the figures do not add up. */
export function additivityNotes(
  { additive }: Dimensions,
  by: readonly string[],
  figures: readonly string[],
  isPromoted: (name: string) => boolean,
): readonly string[] {
  return by.flatMap((name) => {
    const key = isPromoted(name) ? PROMOTED : name;
    const adds = (figure: string): boolean =>
      !MULTI_VALUED.includes(name) &&
      additive.some((entry) => entry.figure === figure && (entry.over === undefined || entry.over.includes(key)));
    const others = figures.filter((figure) => !adds(figure));
    return others.length === 0 ? [] : [`Not additive over ${name}: ${others.join(', ')}.`];
  });
}
