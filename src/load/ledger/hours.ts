/**
 * The account of every hour and the result of its last comparison with the source: what a run reads before it fetches
 * anything, and what it writes after a comparison.
 */
import { join } from 'node:path';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import { HOUR, floorTo } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { isInside, subtract, totalLength } from '../../kernel/windows.ts';
import { asCount, asFingerprint, asInstant, asOneOf, asOptional, asText } from './cells.ts';
import type { Ledger } from './ledger.ts';
import { HOUR_STATES, betterGrades } from '../../model/coverage.ts';
import type { Grade, HourState } from '../../model/coverage.ts';
import {
  BULK_SQL,
  bulkSql,
  HOUR_MICROSECONDS,
  ZERO_SQL,
  accountRowsSql,
  accountSql,
  beginningSql,
  digestedSql,
  fingerprintsSql,
  hourEndSql,
  insideSql,
  instantSql,
  sameIdsSql,
  sameRowsSql,
  tableFilterSql,
  unitNumberSql,
} from './sql.ts';

const asState = asOneOf(HOUR_STATES);

export interface HeldHour {
  /** lake + duplicates + quarantined. */
  readonly account: Fingerprint;
  readonly rows: number;
  /** How far into the hour the source was loaded or compared. */
  readonly coveredTo: Instant;
  readonly state: HourState;
  /** By content: the account is exactly what the source had at the last comparison. */
  readonly isProven: boolean;
  /**
   * An older version left out a row that has the id of another row of the hour and other content. The hour is fetched again, as a
   * whole: the row may be in another minute.
   */
  readonly lacksRows: boolean;
}

/** What the source reports for some spans of time; an hour that is missing in `hours` is empty there. */
export interface SourceComparison {
  /** The source's own clock. */
  readonly at: Instant;
  /** What was compared, in time order; each begins on the hour. An hour is covered as far as its span reaches into it. */
  readonly spans: readonly Window[];
  readonly grade: Exclude<Grade, 'none'>;
  readonly hours: ReadonlyMap<Instant, Fingerprint>;
  /** The source deletes rows older than this, so nothing can be proven or disproven before it. */
  readonly retentionEdge?: Instant;
  /** Hours that end by then and were never proven are expired. @default `retentionEdge` */
  readonly expiredTo?: Instant;
  /** An hour that ends later is not over, even if its span ends later. @default the end of the last span */
  readonly overTo?: Instant;
  /** An hour that is not over is `open` even if it differs: nothing was loaded before this comparison. @default false */
  readonly onlyCompares?: boolean;
  /**
   * Accept hours whose ids are equal and whose content differs: the source gives the same value as another text each time, so that
   * only ids can be proven. @default false
   */
  readonly acceptContent?: boolean;
  /**
   * Parts of the spans, in time order, in which no hour changes but the date of its proof (`unchangedHours`). Only an open hour, which
   * is a part of its own, may reach further than before. @default none
   */
  readonly unchanged?: readonly Window[];
}

/** Hours by state. */
export type StateCounts = Readonly<Record<HourState, number>>;

/** Every hour known to the ledger, or only those in the windows; in time order, empty ones included. */
export async function heldHours(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  windows?: readonly Window[],
): Promise<Map<Instant, HeldHour>> {
  if (windows?.length === 0) return new Map();
  const ofTable = tableFilterSql(tenant, table);
  const bounds = windows === undefined ? '' : `and ${insideSql(windows, 'hour')}`;
  const parts = ['n', 's0', 's1', 'x', 'c'].map((part) => `coalesce(account.${part}::varchar, '-')`);
  const { held } = await ledger.exclusive(() =>
    ledger.row(
      // `offset 0`: otherwise the planner copies the sums of the account to each place that uses them, which doubles the time.
      `select string_agg(held, chr(10) order by hour) as held
       from (
         select hour, concat_ws(' ',
           state, hour in (select hour from duplicates where ${ofTable} and not same_content),
           coalesce(grade = 'content' and source = account, false),
           epoch_us(hour), epoch_us(covered_to), ${parts.join(', ')}) as held
         from (
           select hour, state, grade, source, covered_to, ${accountSql('hours')} as account
           from hours where ${ofTable} ${bounds} offset 0
         )
       )`,
      { held: asOptional(asText) },
    ),
  );
  return new Map((held ?? '').split('\n').flatMap((line) => (line === '' ? [] : [heldHour(line)])));
}

/** An hour that the ledger wrote as text: thousands of cells take longer to read than the statement that selects them. */
function heldHour(line: string): [Instant, HeldHour] {
  const [state = '', lacksRows, isProven, ...numbers] = line.split(' ');
  const [hour, coveredTo, rows, sum0, sum1, xor, content] = numbers.map((text) =>
    text === '-' ? undefined : BigInt(text),
  );
  if (hour === undefined || coveredTo === undefined) throw new TypeError('An hour of the ledger lacks its time.');
  if (rows === undefined || sum0 === undefined || sum1 === undefined || xor === undefined)
    throw new TypeError('An hour of the ledger lacks a part of its account.');
  const account = { rows, sum0, sum1, xor, content };
  return [
    hour * 10n,
    {
      account,
      rows: Number(rows),
      coveredTo: coveredTo * 10n,
      state: asState(state, 'state'),
      isProven: isProven === 'true',
      lacksRows: lacksRows === 'true',
    },
  ];
}

/**
 * Records a comparison for every hour of its spans, including the empty ones. An hour is `verified` only when its account equals
 * the source's fingerprint (grade `count`: its row count), and when it is over. An hour that was covered beyond the end of its span
 * is not changed: the source's clock stepped back. An hour that was verified with a better grade keeps that grade and its date, unless
 * this comparison contradicts it. Returns how many of the compared hours are in each state, plus all expired hours of the table.
 */
export async function recordComparison(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  comparison: SourceComparison,
  run: string,
): Promise<StateCounts> {
  return ledger.exclusive(() => ledger.transaction(() => compare(ledger, tenant, table, comparison, run)));
}

async function compare(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  {
    at,
    spans,
    grade,
    hours,
    retentionEdge,
    expiredTo = retentionEdge,
    overTo = spans.at(-1)?.to ?? at,
    onlyCompares = false,
    acceptContent = false,
    unchanged = [],
  }: SourceComparison,
  run: string,
): Promise<StateCounts> {
  const ofTable = tableFilterSql(tenant, table);
  const edge = retentionEdge === undefined ? 'null::timestamptz' : instantSql(retentionEdge);
  const expired = expiredTo === undefined ? 'null::timestamptz' : instantSql(expiredTo);
  if (expiredTo !== undefined) await recordExpired(ledger, tenant, table, spans[0]?.from ?? at, expiredTo, at, run);
  const renewed = await renew(ledger, ofTable, unchanged, at);
  const others = subtract(spans, unchanged);
  if (others.length === 0) return { ...(await countStates(ledger, `${ofTable} and state = 'expired'`)), ...renewed };
  const spansJson = JSON.stringify(others.map(({ from, to }) => [String(floorTo(from, HOUR) / 10n), String(to / 10n)]));
  const hoursJson = JSON.stringify(
    [...hours]
      .filter(([hour]) => isInside(others, hour))
      .map(([hour, { rows, sum0, sum1, xor, content }]) => [
        ...[hour / 10n, rows, sum0, sum1, xor].map(String),
        content === undefined ? null : String(content),
      ]),
  );
  // A range of numbers instead of `generate_series`: the planner would evaluate a series of constants.
  const spanHours = `(
    select unnest(range(r[1]::bigint, r[2]::bigint, ${HOUR_MICROSECONDS})) as hour, r[2]::bigint as upper from ${BULK_SQL})`;
  const compared = `
    select
      make_timestamptz(span.hour) as hour,
      make_timestamptz(least(span.hour + ${HOUR_MICROSECONDS}, span.upper)) as covered_to,
      coalesce(seen.source, ${ZERO_SQL}) as source
    from ${spanHours} as span
    left join (
      select r[1]::bigint as hour, {n: r[2]::hugeint, s0: r[3]::hugeint, s1: r[4]::hugeint, x: r[5]::bigint, c: r[6]::hugeint} as source
      from ${bulkSql(2)}
    ) as seen on seen.hour = span.hour`;
  // Struct arithmetic once, in SQL: 43,800 hours in one statement.
  const isEqual =
    grade === 'count' ? 'account.n = source.n' : (acceptContent ? sameIdsSql : sameRowsSql)('account', 'source');
  // Rows that were loaded without digests are proven by their ids until they are loaded again.
  const reached =
    grade === 'content'
      ? `case when coalesce(coalesce(account, ${ZERO_SQL}).c = source.c, ${acceptContent ? 'false' : 'account.c is not null'}) then 'content' else 'checksum' end`
      : sqlText(grade);
  const outcome = `
    select
      hour, covered_to, source, ${reached} as grade,
      coalesce(is_equal, source.n = 0) as is_proven,
      -- It was proven, and the source is now deleting its rows: the proof is still valid. So is a better proof that agrees.
      coalesce(was = 'verified' and hour < ${edge} and not is_equal, false)
        or coalesce(was = 'verified' and was_grade in (${sqlTexts(betterGrades(grade))}) and is_equal, false) as keeps_proof,
      case
        when is_proven then case when covered_to < ends_at or ends_at > ${instantSql(overTo)} then 'open' else 'verified' end
        when ${onlyCompares} and (covered_to < ends_at or ends_at > ${instantSql(overTo)}) then 'open'
        when ends_at <= ${expired} then 'expired'
        else 'partial'
      end as state
    from (
      select *, case when account is not null then ${isEqual} end as is_equal
      from (
        select
          compared.*, ${hourEndSql('compared.hour')} as ends_at, hours.state as was, hours.grade as was_grade,
          case when hours.hour is not null then ${accountSql('hours')} end as account
        from (${compared}) as compared
        left join hours on ${tableFilterSql(tenant, table, 'hours')} and hours.hour = compared.hour
        where hours.covered_to is null or hours.covered_to <= compared.covered_to
        offset 0
      )
    )`;
  const proven = `outcome.is_proven`;
  await ledger.run(
    `merge into hours using (select * from (${outcome}) where not keeps_proof) as outcome
     on ${tableFilterSql(tenant, table, 'hours')} and hours.hour = outcome.hour
     when matched then update set
       source = outcome.source,
       state = outcome.state,
       grade = outcome.grade,
       covered_to = case when ${proven} then outcome.covered_to else hours.covered_to end,
       checked_at = ${instantSql(at)},
       verified_at = case
         when outcome.state <> 'verified' then null
         when hours.state = 'verified' and hours.grade = outcome.grade and hours.source is not distinct from outcome.source
           then hours.verified_at
         else ${instantSql(at)}
       end,
       -- An expired hour keeps the run that found the loss, which is reported once.
       run = case when hours.state = outcome.state and (hours.state = 'expired' or hours.source is not distinct from outcome.source) then hours.run else ${sqlText(run)} end
     when not matched then insert values (
       ${sqlText(tenant)}, ${sqlText(table)}, outcome.hour, outcome.source, ${ZERO_SQL}, ${ZERO_SQL}, ${ZERO_SQL},
       case when ${proven} then outcome.covered_to else outcome.hour end, outcome.state, outcome.grade,
       ${instantSql(at)}, case when outcome.state = 'verified' then ${instantSql(at)} end, ${sqlText(run)}
     )`,
    [spansJson, hoursJson],
  );
  const isCounted = `hour in (select make_timestamptz(hour) from ${spanHours}) or state = 'expired'`;
  const counts = await countStates(ledger, `${ofTable} and (${isCounted})`, [spansJson]);
  return { ...counts, verified: counts.verified + renewed.verified, open: counts.open + renewed.open };
}

/** Dates the proof of hours that have not changed. Returns how many they are. */
async function renew(
  ledger: Ledger,
  ofTable: string,
  unchanged: readonly Window[],
  at: Instant,
): Promise<{ readonly verified: number; readonly open: number }> {
  const whole = unchanged.filter(({ to }) => floorTo(to, HOUR) === to);
  if (whole.length > 0)
    await ledger.run(
      `update hours set checked_at = ${instantSql(at)} where ${ofTable} and ${insideSql(whole, 'hour')}`,
    );
  const open = unchanged.filter((window) => !whole.includes(window));
  for (const { from, to } of open)
    await ledger.run(
      `update hours set checked_at = ${instantSql(at)}, covered_to = ${instantSql(to)}
       where ${ofTable} and hour = ${instantSql(from)}`,
    );
  return { verified: Number(totalLength(whole) / HOUR), open: open.length };
}

/**
 * Compares hours with the source's last answer about them, without querying it again: rows moved inside the lake, and an hour
 * that now equals that answer is proven. `hours` is a select of them. Runs inside the caller's transaction.
 */
export async function judgeBySource(ledger: Ledger, tenant: string, table: TableName, hours: string): Promise<void> {
  const isOpen = `(covered_to < ${hourEndSql('hour')} or ${hourEndSql('hour')} > ${ledger.nowSql()})`;
  await ledger.run(
    `update hours set
       state = case when ${isOpen} then 'open' else 'verified' end,
       verified_at = case when ${isOpen} then null else coalesce(verified_at, checked_at) end
     where ${tableFilterSql(tenant, table)} and hour in (${hours}) and state in ('unchecked', 'partial')
       and source is not null
       and case
         when grade in ('content', 'checksum') then ${sameRowsSql(accountSql('hours'), 'source')}
         when grade = 'count' then ${accountRowsSql('hours')} = source.n
         else false
       end`,
  );
}

/** Marks hours before the retention edge that were never proven, and adds those since the beginning of coverage that no run ever saw. */
async function recordExpired(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  lower: Instant,
  edge: Instant,
  at: Instant,
  run: string,
): Promise<void> {
  const ofTable = tableFilterSql(tenant, table);
  const behind = edge < lower ? edge : lower;
  await ledger.run(
    `update hours set state = 'expired', checked_at = ${instantSql(at)}, run = ${sqlText(run)}
     where ${ofTable} and ${hourEndSql('hour')} <= ${instantSql(behind)} and state not in ('verified', 'expired')`,
  );
  await ledger.run(
    `insert into hours
     select
       ${sqlText(tenant)}, ${sqlText(table)}, gap.hour, null, ${ZERO_SQL}, ${ZERO_SQL}, ${ZERO_SQL}, gap.hour, 'expired', 'none',
       ${instantSql(at)}, null, ${sqlText(run)}
     from (
       select make_timestamptz(unnest(range(epoch_us(hour), ${behind / 10n - BigInt(HOUR_MICROSECONDS) + 1n}, ${HOUR_MICROSECONDS}))) as hour
       from ${beginningSql(tenant, table)}
     ) as gap
     anti join (select hour from hours where ${ofTable}) as known using (hour)`,
  );
}

/** The account of each minute of the given hours: lake (read from the current files) + duplicates + quarantined. */
export async function minuteFingerprints(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  hours: readonly Instant[],
): Promise<Map<Instant, Fingerprint>> {
  if (hours.length === 0) return new Map();
  return ledger.exclusive(async () => {
    const spans = hours.map((hour) => ({ from: hour, to: hour + HOUR }));
    const files = await ledger.rows(
      `select distinct file, digests from partitions
       where ${tableFilterSql(tenant, table)} and superseded_at is null
         and exists (select 1 from ${BULK_SQL} where from_ts <= make_timestamptz(r[1]::bigint) and make_timestamptz(r[1]::bigint) < to_ts)`,
      { file: asText, digests: asOptional(asText) },
      [JSON.stringify(hours.map((hour) => [String(hour / 10n)]))],
    );
    const stored = files.map(({ file, digests }) => ({ path: join(ledger.dataDir, file), digests }));
    const id = lakeName(TABLES[table], TABLES[table].id);
    const sources = [
      ...(stored.length === 0
        ? []
        : [`select "timestamp" as moment, "${id}" as id, ${DIGEST_COLUMN} as digest from ${digestedSql(stored)}`]),
      `select minute as moment, id, digest from duplicates where ${tableFilterSql(tenant, table)}`,
      `select minute as moment, id, digest from quarantine where ${tableFilterSql(tenant, table)} and minute is not null`,
    ];
    const rows = await ledger.rows(
      `select (minute * 60000000)::varchar as minute, fp
       from (${fingerprintsSql(`(${sources.join(' union all ')}) where ${insideSql(spans, 'moment')}`, 'id', 'digest', {
         minute: unitNumberSql('moment', 60_000_000),
       })})
       order by 1`,
      { minute: asInstant, fp: asFingerprint },
    );
    return new Map(rows.map(({ minute, fp }) => [minute, fp]));
  });
}

/** Hours by state; `where` is a condition on them. */
export async function countStates(ledger: Ledger, where: string, values: readonly string[] = []): Promise<StateCounts> {
  const sql = `select state, count(*) as n from hours where ${where} group by state`;
  const rows = await ledger.rows(sql, { state: asState, n: asCount }, values);
  const counts = { verified: 0, partial: 0, open: 0, expired: 0, unchecked: 0 };
  for (const { state, n } of rows) counts[state] = n;
  return counts;
}
