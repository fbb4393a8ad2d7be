/** A table's hours as a calendar: a column a day and a row an hour, or for a long range one cell a day. */
import type { JSX, TargetedKeyboardEvent, TargetedMouseEvent } from 'preact';
import { useId, useMemo, useState } from 'preact/hooks';
import { moved, useTurn, useWidth } from './hooks.ts';
import { countKinds, dayKinds, hoursIn, KIND_WORDS, KINDS, kindOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { day as dayText, dayShort, figure, instant, month } from './locale.ts';
import { addDays, daysBetween } from './manifest.ts';
import type { Hours, Proof, Range } from './types.ts';

interface CalendarProps {
  readonly table: string;
  readonly hours: Hours;
  readonly proof: Proof;
  readonly range: Range;
  /** Shows the hours around a day. */
  readonly onDay: (day: string) => void;
}

const HOUR = 3_600_000;
const [LEFT, ROW, TOP] = [34, 7, 16];

export function Calendar({ table, hours, proof, range, onDay }: CalendarProps): JSX.Element {
  const found = useMemo(() => hoursIn(hours, range), [hours, range]);
  const days = daysBetween(range.from, range.to);
  const byDay = days > 100;
  const kinds = useMemo(
    () => (byDay ? dayKinds(hours, found) : found.map((nth) => (nth < 0 ? undefined : kindOf(hours.kind[nth])))),
    [byDay, hours, found],
  );
  const [focus, setFocus] = useState<number | null>(null);
  const [body, width] = useWidth<HTMLDivElement>();
  const isDue = useTurn();
  const grid = byDay ? weeks(range, days, width) : dayColumns(days, width);
  const onKey = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    if (event.key === 'Enter' && focus !== null && byDay) return onDay(addDays(range.from, focus));
    const next = moved(event.key, focus, kinds.length, byDay ? 7 : 24, 1);
    if (next === undefined) return undefined;
    event.preventDefault();
    setFocus(next);
    return undefined;
  };
  return (
    <div class="body" ref={body}>
      <div
        class="keys"
        tabindex={0}
        role="group"
        aria-label={`${byDay ? 'Days' : 'Hours'} of ${table}. Arrow keys read out each${byDay ? ', Enter shows its hours' : ''}.`}
        onKeyDown={onKey}
        onBlur={() => setFocus(null)}
      >
        {isDue && width > 0 ? (
          <Grid
            kinds={kinds}
            grid={grid}
            width={width}
            focus={focus}
            range={range}
            label={summary(table, hours, found)}
            onFocus={setFocus}
            onPick={(nth) => byDay && onDay(addDays(range.from, nth))}
            byDay={byDay}
          />
        ) : (
          <div class="skeleton" />
        )}
      </div>
      <p class="readout" aria-live="polite">
        {focus === null
          ? ''
          : byDay
            ? dayAccount(kinds[focus], addDays(range.from, focus))
            : hourAccount(hours, found[focus] ?? -1, proof, Date.parse(range.from) + focus * HOUR)}
      </p>
    </div>
  );
}

interface CellGrid {
  readonly size: number;
  readonly height: number;
  readonly place: (nth: number) => readonly [x: number, y: number];
  readonly at: (x: number, y: number) => number;
  /** Height of one cell. */
  readonly row: number;
}

function dayColumns(days: number, width: number): CellGrid {
  const size = Math.min(40, (width - LEFT) / Math.max(1, days));
  return {
    size,
    row: ROW,
    height: TOP + 24 * ROW + 4,
    place: (nth) => [LEFT + Math.floor(nth / 24) * size, TOP + (nth % 24) * ROW],
    at: (x, y) => Math.floor((x - LEFT) / size) * 24 + Math.min(23, Math.max(0, Math.floor((y - TOP) / ROW))),
  };
}

/** Columns are weeks from Monday on, in as many rows of columns as the width needs. */
function weeks(range: Range, days: number, width: number): CellGrid {
  const offset = (new Date(range.from).getUTCDay() + 6) % 7;
  const size = 11;
  const perRow = Math.max(1, Math.floor((width - LEFT) / size));
  const band = 7 * size + TOP + 6;
  const rows = Math.ceil(Math.ceil((days + offset) / 7) / perRow);
  return {
    size,
    row: size,
    height: rows * band,
    place: (nth) => {
      const week = Math.floor((nth + offset) / 7);
      return [LEFT + (week % perRow) * size, Math.floor(week / perRow) * band + TOP + ((nth + offset) % 7) * size];
    },
    at: (x, y) => {
      const row = Math.floor(y / band);
      const week = row * perRow + Math.floor((x - LEFT) / size);
      return week * 7 + Math.min(6, Math.max(0, Math.floor((y - row * band - TOP) / size))) - offset;
    },
  };
}

interface GridProps {
  readonly kinds: readonly (Kind | undefined)[];
  readonly grid: CellGrid;
  readonly width: number;
  readonly focus: number | null;
  readonly range: Range;
  readonly label: string;
  readonly byDay: boolean;
  readonly onFocus: (nth: number | null) => void;
  readonly onPick: (nth: number) => void;
}

function Grid({ kinds, grid, width, focus, range, label, byDay, onFocus, onPick }: GridProps): JSX.Element {
  const id = useId();
  const { size, row, height, place, at } = grid;
  const gap = size > 5 ? 1 : 0;
  // One path for each kind: five years of three tables are 131,000 hours.
  const paths = new Map<Kind, string>();
  for (const [nth, kind] of kinds.entries()) {
    if (!kind) continue;
    const [x, y] = place(nth);
    paths.set(
      kind,
      `${paths.get(kind) ?? ''}M${x.toFixed(1)},${y}h${(size - gap).toFixed(1)}v${row - 1}h-${(size - gap).toFixed(1)}z`,
    );
  }
  const nthAt = (event: TargetedMouseEvent<SVGSVGElement>): number | null => {
    const box = event.currentTarget.getBoundingClientRect();
    const nth = at(event.clientX - box.left, event.clientY - box.top);
    return nth >= 0 && nth < kinds.length && event.clientX - box.left >= LEFT ? nth : null;
  };
  const focused = focus === null ? undefined : place(focus);
  return (
    <svg
      class={`chart calendar ${byDay ? 'pickable' : ''}`}
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      role="img"
      aria-label={label}
      onPointerMove={(event) => onFocus(nthAt(event))}
      onPointerLeave={() => onFocus(null)}
      onClick={(event) => {
        const nth = nthAt(event);
        if (nth !== null) onPick(nth);
      }}
    >
      <defs>
        <Patterns id={id} />
      </defs>
      {byDay
        ? null
        : [0, 6, 12, 18].map((hour) => (
            <text key={hour} class="axis" x={LEFT - 6} y={TOP + hour * ROW + 8} text-anchor="end">
              {String(hour).padStart(2, '0')}
            </text>
          ))}
      <Dates grid={grid} range={range} byDay={byDay} length={kinds.length} width={width} />
      {[...paths].map(([kind, path]) => (
        <g key={kind}>
          <path class={`k-${kind}`} d={path} />
          {PATTERNED.includes(kind) && <path fill={`url(#${id}-${kind})`} d={path} />}
        </g>
      ))}
      {focused && (
        <rect class="focused" x={focused[0] - 1} y={focused[1] - 1} width={size + 1 - gap} height={row + 1} />
      )}
    </svg>
  );
}

/** Kinds that differ by a pattern too, not by colour only. */
const PATTERNED: readonly Kind[] = ['partial', 'expired', 'unchecked', 'none', 'count'];

function Patterns({ id }: { id: string }): JSX.Element {
  const lines: Readonly<Record<string, string>> = {
    partial: 'M0,4L4,0M-1,1L1,-1M3,5L5,3',
    expired: 'M0,0L4,4M0,4L4,0',
    unchecked: 'M2,1v1',
    none: 'M0,2h4',
    count: 'M2,0v4',
  };
  return (
    <>
      {PATTERNED.map((kind) => (
        <pattern key={kind} id={`${id}-${kind}`} width="4" height="4" patternUnits="userSpaceOnUse">
          <path class="kind-pattern" d={lines[kind] ?? ''} />
        </pattern>
      ))}
    </>
  );
}

function Dates({
  grid,
  range,
  byDay,
  length,
  width,
}: {
  grid: CellGrid;
  range: Range;
  byDay: boolean;
  length: number;
  width: number;
}): JSX.Element {
  const per = byDay ? 1 : 24;
  const days = Math.ceil(length / per);
  const every = byDay ? 0 : Math.max(1, Math.ceil(72 / grid.size));
  const marks: JSX.Element[] = [];
  for (let nth = 0; nth < days; nth++) {
    const ms = Date.parse(range.from) + nth * 24 * HOUR;
    const isMarked = byDay
      ? new Date(ms).getUTCDate() === 1 && new Date(ms).getUTCMonth() % 3 === 0
      : nth % every === 0;
    const [x, y] = grid.place(nth * per);
    if (!isMarked || x > width - 50) continue;
    marks.push(
      <text
        key={nth}
        class="axis"
        x={x}
        y={byDay ? Math.floor(y / (7 * grid.size + TOP + 6)) * (7 * grid.size + TOP + 6) + TOP - 4 : TOP - 5}
      >
        {byDay ? month(ms) : dayShort(ms)}
      </text>,
    );
  }
  return <g>{marks}</g>;
}

function summary(table: string, hours: Hours, found: readonly number[]): string {
  const counts = countKinds(hours, found);
  const parts = [...KINDS]
    .reverse()
    .flatMap((kind) => (counts.has(kind) ? [`${figure(counts.get(kind) ?? 0)} ${KIND_WORDS[kind]}`] : []));
  return `Hours of ${table}: ${parts.join(', ') || 'none is known'}.`;
}

function dayAccount(kind: Kind | undefined, day: string): string {
  return `${dayText(day)}: ${kind ? `the worst hour is ${KIND_WORDS[kind]}` : 'no hour is known'}.`;
}

/** The account of an hour: source = lake + copies + quarantined. */
function hourAccount(hours: Hours, nth: number, proof: Proof, ms: number): string {
  if (nth < 0) return `${instant(ms)}: not read.`;
  const of = (column: readonly number[]): string => figure(column[nth] ?? 0);
  const kind = kindOf(hours.kind[nth]);
  const proven = proof.proofs[hours.proof[nth] ?? -1];
  const by = proven ? ` Last proven ${instant(proven.at)}${proven.run === null ? '' : ` by run ${proven.run}`}.` : '';
  const sum = (hours.lake[nth] ?? 0) + (hours.duplicates[nth] ?? 0) + (hours.quarantined[nth] ?? 0);
  const sign = sum === hours.source[nth] ? '=' : '≠';
  return `${instant(ms)}: ${kind ? KIND_WORDS[kind] : ''}. Source ${of(hours.source)} ${sign} lake ${of(hours.lake)} + copies ${of(hours.duplicates)} + quarantined ${of(hours.quarantined)}.${by}`;
}
