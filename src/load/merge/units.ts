/**
 * Which files a batch changes. A month of few rows is one file from its first row on: a file costs far more to write, describe and
 * open than a row. Each day of a larger month has its own file, so that the rows of a night never rewrite many others.
 */
import { join } from 'node:path';
import { DAY, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { contains, intersection, overlaps, totalLength } from '../../kernel/windows.ts';
import { dayPeriod, isMonth, monthPeriod } from '../../model/period.ts';
import type { Period } from '../../model/period.ts';
import type { Batch } from '../../model/page.ts';
import { generationFloor } from '../ledger/generation-floor.ts';
import { asCount, asFlag, asInstant, asText } from '../ledger/cells.ts';
import { monthLimits } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { FORM_SHAPE } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import { instantSql, tableFilterSql } from '../ledger/sql.ts';

/** The rows of one period that a batch touches, and the generation that holds the period now. */
export interface Unit {
  readonly period: Period;
  /** The batch's windows inside the period; empty when the batch only adds rows. */
  readonly windows: readonly Window[];
  /** The windows cover the whole period, so that no row of the old generation is kept. */
  readonly whole: boolean;
  /** Absolute path of the current generation. */
  readonly oldFile: string | undefined;
  /** The rules under which that file was written. */
  readonly oldForm: Form;
  /** Rows of the current generation. */
  readonly held: number;
  /** Rows staged for the period, without excess copies. */
  readonly staged: number;
  readonly nextGeneration: number;
}

/**
 * The periods that the batch's windows (or its staged rows, when it has no windows) cover and that have staged rows or a
 * current generation. A day with neither needs no file. `days`: staged rows by UTC day.
 */
export async function planUnits(ledger: Ledger, batch: Batch, days: ReadonlyMap<bigint, number>): Promise<Unit[]> {
  const adds = batch.windows.length === 0;
  const spans = adds ? daySpans(days) : batch.windows;
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return [];
  const known = await ledger.rows(
    `select
       period, epoch_us(from_ts)::varchar as "from", epoch_us(to_ts)::varchar as "to",
       file, generation, rows, promotion, privacy, digests, superseded_at is null as current
     from partitions
     where ${tableFilterSql(batch.tenant, batch.table)} and from_ts < ${instantSql(monthPeriod(last.to - 1n).to)} and to_ts > ${instantSql(monthPeriod(first.from).from)}`,
    {
      period: asText,
      from: asInstant,
      to: asInstant,
      file: asText,
      generation: asCount,
      rows: asCount,
      current: asFlag,
      ...FORM_SHAPE,
    },
  );
  const partitions = known.map(({ period: name, from, to, file, generation, rows, current, ...form }) => ({
    period: { name, from, to },
    file: join(ledger.dataDir, file),
    generation,
    rows,
    form,
    current,
  }));
  const current = partitions.filter((partition) => partition.current);
  const months = current.flatMap(({ period }) => (isMonth(period) ? [period] : []));
  if (!adds) months.push(...(await newMonths(ledger, batch, days, current)));
  const generationAfter = nextGenerations(partitions, await generationFloor(ledger));
  const files = new Map(current.map((partition) => [partition.period.name, partition]));
  const windows = new Map<string, { period: Period; windows: Window[] }>();
  for (const window of spans) {
    for (let day = floorTo(window.from, DAY); day < window.to;) {
      const month = months.find((period) => contains(period, day));
      const period = month ?? dayPeriod(day);
      const unit = windows.get(period.name) ?? { period, windows: [] };
      const inside = intersection(window, period);
      if (inside) unit.windows.push(inside);
      if (month || days.has(day / DAY) || files.has(period.name)) windows.set(period.name, unit);
      day = period.to;
    }
  }
  return [...windows.values()].map(({ period, windows }) => ({
    period,
    windows: adds ? [] : windows,
    whole: !adds && windows.length === 1 && windows[0]?.from === period.from && windows[0].to === period.to,
    oldFile: files.get(period.name)?.file,
    oldForm: files.get(period.name)?.form ?? { promotion: undefined, privacy: undefined, digests: undefined },
    held: files.get(period.name)?.rows ?? 0,
    staged: sumDays(period, days),
    nextGeneration: generationAfter(period),
  }));
}

/** Above the floor (generation-floor.ts). A month and its days share the numbers: of files with the same rows, the newest has the highest (`lastGeneration`). */
function nextGenerations(
  partitions: readonly { readonly period: Period; readonly generation: number }[],
  floor: number,
): (period: Period) => number {
  const last = new Map<string, number>();
  for (const { period, generation } of partitions)
    last.set(period.name, Math.max(last.get(period.name) ?? 0, generation));
  return (period) => {
    const month = period.name.slice(0, 7);
    const names = isMonth(period) ? [...last.keys()].filter((name) => name.startsWith(month)) : [period.name, month];
    return names.reduce((most, name) => Math.max(most, last.get(name) ?? 0), floor) + 1;
  };
}

/**
 * The months of which no row is loaded yet, if they will have few rows. The part of a month that the batch does not cover is expected
 * to be like the part that it covers or like the month before, whichever has more rows.
 */
async function newMonths(
  ledger: Ledger,
  { tenant, table, windows }: Batch,
  days: ReadonlyMap<bigint, number>,
  current: readonly { readonly period: Period }[],
): Promise<Period[]> {
  const { expected: most, rows: mostIfWhole } = monthLimits(ledger.settings);
  const taken = current.map(({ period }) => period);
  const loaded = new Map([...days.keys()].map((day) => monthPeriod(day * DAY)).map((month) => [month.name, month]));
  const found = [...loaded.values()].flatMap((period) => {
    const rows = sumDays(period, days);
    return rows > mostIfWhole || overlaps(period, taken) ? [] : [{ period, rows }];
  });
  const [first, last] = [found[0], found.at(-1)];
  if (!first || !last) return [];
  const before = monthPeriod(first.period.from - 1n);
  const held = await ledger.rows(
    `select strftime(hour, '%Y-%m') as month, sum(lake.n)::bigint as rows from hours
     where ${tableFilterSql(tenant, table)} and hour >= ${instantSql(before.from)} and hour < ${instantSql(last.period.from)}
     group by month`,
    { month: asText, rows: asCount },
  );
  const rowsOf = new Map(held.map(({ month, rows }) => [month, rows]));
  return found.flatMap(({ period, rows }) => {
    const covered = totalLength(windows.flatMap((window) => intersection(window, period) ?? []));
    const length = period.to - period.from;
    const ahead = Number(length - covered);
    const likeBatch = (rows * ahead) / Number(covered > DAY ? covered : DAY);
    const likeBefore = ((rowsOf.get(monthPeriod(period.from - 1n).name) ?? 0) * ahead) / Number(length);
    return ahead === 0 || rows + Math.max(likeBatch, likeBefore) <= most ? [period] : [];
  });
}

function daySpans(days: ReadonlyMap<bigint, number>): Window[] {
  return [...days.keys()].sort((a, b) => (a < b ? -1 : 1)).map((day) => ({ from: day * DAY, to: (day + 1n) * DAY }));
}

/** The rows of a period. */
export function sumDays({ from, to }: Period, days: ReadonlyMap<bigint, number>): number {
  let sum = 0;
  for (let day = from / DAY; day < to / DAY; day += 1n) sum += days.get(day) ?? 0;
  return sum;
}
