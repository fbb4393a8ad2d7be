import { KqlError } from './error.ts';
import { sqlString } from './literals.ts';

/**
 * `format_datetime` and `format_timespan`: the format is parsed at compile time and becomes one concatenation.
 * A letter that the engine does not document is an error.
 */
export function formatDatetime(ticks: string, format: string): string {
  return compose(ticks, format, DATETIME, /^[ /\-:,._[\]]$/);
}

export function formatTimespan(ticks: string, format: string): string {
  return compose(`abs(${ticks})`, format, TIMESPAN, /^[ /\-:,._[\]]$/);
}

type Writer = (ticks: string, width: number) => string | undefined;

function field(name: string, ticks: string): string {
  return `kql_field('${name}', ${ticks})`;
}

function padded(number: string, width: number): string {
  return width === 1 ? `(${number})::varchar` : `lpad((${number})::varchar, ${width}, '0')`;
}

const short =
  (number: (ticks: string) => string): Writer =>
  (ticks, width) =>
    width <= 2 ? padded(number(ticks), width) : undefined;

const fraction = (ticks: string, width: number): string =>
  `left(lpad(kql_modulo(${ticks}, 10000000)::varchar, 7, '0'), ${width})`;

const FRACTIONS: Readonly<Record<string, Writer>> = {
  f: (ticks, width) => (width <= 7 ? fraction(ticks, width) : undefined),
  // A capital F gives nothing when all digits are zeros.
  F: (ticks, width) => (width <= 7 ? `rtrim(${fraction(ticks, width)}, '0')` : undefined),
};

const DATETIME: Readonly<Record<string, Writer>> = {
  ...FRACTIONS,
  y: (ticks, width) => {
    const year = field('year', ticks);
    if (width === 4) return padded(year, 4);
    return width === 2 ? padded(`${year} % 100`, 2) : undefined;
  },
  M: short((ticks) => field('month', ticks)),
  d: short((ticks) => field('day', ticks)),
  H: short((ticks) => field('hour', ticks)),
  h: short((ticks) => `(${field('hour', ticks)} + 11) % 12 + 1`),
  m: short((ticks) => field('minute', ticks)),
  s: short((ticks) => field('second', ticks)),
  t: (ticks, width) => (width === 2 ? `(case when ${field('hour', ticks)} < 12 then 'AM' else 'PM' end)` : undefined),
};

const TIMESPAN: Readonly<Record<string, Writer>> = {
  ...FRACTIONS,
  d: (ticks, width) => {
    const days = `${ticks} // 864000000000`;
    return `lpad((${days})::varchar, greatest(${width}, length((${days})::varchar))::integer, '0')`;
  },
  H: short((ticks) => `${ticks} // 36000000000 % 24`),
  h: short((ticks) => `${ticks} // 36000000000 % 24`),
  m: short((ticks) => `${ticks} // 600000000 % 60`),
  s: short((ticks) => `${ticks} // 10000000 % 60`),
};

function compose(ticks: string, format: string, writers: Readonly<Record<string, Writer>>, delimiter: RegExp): string {
  const pieces: string[] = [];
  for (const [run] of format.matchAll(/([a-zA-Z])\1*|[^a-zA-Z]/g)) {
    const letter = run.charAt(0);
    const piece = writers[letter]?.(ticks, run.length) ?? (delimiter.test(run) ? sqlString(run) : undefined);
    if (piece === undefined) {
      throw new KqlError('literal', `Semantic error: SEM0006: '${run}' is not a format specifier in '${format}'`, run);
    }
    pieces.push(piece);
  }
  if (pieces.length === 0) return "''";
  return `coalesce(${pieces.join(' || ')}, '')`;
}
