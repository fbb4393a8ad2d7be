/**
 * Fills a tenant with synthetic rows. DuckDB generates and inserts them: seeded, the same on every machine and with any
 * number of threads, in the order of their timestamps, and ten million rows take seconds.
 */
import { TABLE_NAMES, TABLES, type TableName } from './tables.ts';
import { literal, quote, type Store } from './store.ts';
import { eventsSql, guid, indexedRows, pick, type Stretch } from './synthetic-events.ts';
import { spreadRows, spreadSnapshots, type HourOfRows, type Spread } from './synthetic-hours.ts';

const LOGS_SHARE = 0.1;
const METRICS_SHARE = 0.05;
/** About the number of rows of one insert. Two inserts run in parallel, and neither needs much memory. */
const BATCH_ROWS = 400_000;

/** Adds `spread.rows` rows to the three tables of a tenant. */
export async function fillTenant(store: Store, tenant: string, spread: Spread): Promise<void> {
  await store.addTenant(tenant);
  const seed = spread.seed * 16 + nameSeed(tenant);
  const logs = Math.floor(spread.rows * LOGS_SHARE);
  const metrics = Math.floor(spread.rows * METRICS_SHARE);
  const hours: Record<TableName, HourOfRows[]> = {
    Logs: spreadRows({ ...spread, rows: logs, seed: seed + 1 }),
    Events: spreadRows({ ...spread, rows: spread.rows - logs - metrics, seed }),
    Metrics: spreadSnapshots({ ...spread, rows: metrics, seed: seed + 2 }),
  };
  for (const name of TABLE_NAMES) {
    const total = hours[name].reduce((sum, hour) => sum + hour.rows, 0);
    const stretch = { total, days: spread.days, seed, tenant: literal(tenant), mess: spread.shape === 'wallet' };
    const inserts = batches(hours[name]).map((part) => insert(tenant, name, { ...stretch, hours: part }));
    // Two at a time, so that rows are committed nearly in time order, which pruning needs.
    for (let n = 0; n < inserts.length; n += 2) await store.run(...inserts.slice(n, n + 2));
  }
}

/** Adds rows to one window of one table, for example late rows. Ids depend on `seed`. */
export async function fillWindow(
  store: Store,
  tenant: string,
  name: TableName,
  window: { start: bigint; span: bigint; rows: number; seed: number },
): Promise<void> {
  const hours = [{ start: window.start, span: window.span, first: 0, rows: window.rows, hot: 0 }];
  const stretch = { hours, total: window.rows, days: 1, seed: window.seed, tenant: literal(tenant), mess: false };
  await store.run(insert(tenant, name, stretch));
}

function insert(tenant: string, name: TableName, stretch: Stretch): string {
  const sql = { Logs: logsSql, Events: eventsSql, Metrics: metricsSql }[name](stretch);
  const columns = TABLES[name].columns.map((column) => quote(column.name));
  return `insert into ${quote(tenant)}.${quote(name)} (${columns.join(', ')}) ${sql}`;
}

function batches(hours: readonly HourOfRows[]): HourOfRows[][] {
  const parts: HourOfRows[][] = [];
  let rows = Infinity;
  for (const hour of hours) {
    if (rows >= BATCH_ROWS) {
      parts.push([]);
      rows = 0;
    }
    parts.at(-1)?.push(hour);
    rows += hour.rows;
  }
  return parts;
}

function logsSql(stretch: Stretch): string {
  const message = `case kind
    when 'Error' then ${pick(['upstream timeout', 'pass signing failed: \\"certificate expired\\"', 'réponse invalide du fournisseur'], 'h')}
    when 'Warning' then ${pick(['retry 2 of 5', 'slow query', 'quota at 80 %'], 'h')}
    else ${pick(['request handled', 'cache refreshed', 'push sent 📲'], 'h')}
  end`;
  return `
select ${guid('L', stretch.seed, 'i')}, ticks, ${stretch.tenant}, kind, concat('op-', i * 8),
  concat('{"message":"', ${message}, '","severity":"', lower(kind), '","service":"', ${pick(['wallet', 'api', 'scan', 'mail'], 'h // 5')}, '"',
    case when kind = 'Error' then concat(',"exception":{"type":"TimeoutException","stack":["at Send()","at Handle(', h % 90, ')"]}') else '' end, '}')
from (
  select *, case when h % 100 < 6 then 'Error' when h % 100 < 20 then 'Warning' when h % 100 < 60 then 'Trace' else 'Information' end as kind
  from (${indexedRows(stretch)})
)`;
}

/** Hourly snapshots: number, object and array values, a few nulls. One metric changes from number to text half-way. */
function metricsSql(stretch: Stretch): string {
  const kinds = ['passes.total', 'passes.installed', 'stores', 'api.latency', 'queue.depth', 'campaign.reach'];
  const late = `i >= ${Math.floor(stretch.total / 2)}`;
  const value = `case kind
    when 'passes.total' then (1000 + i // 3)::varchar
    when 'passes.installed' then concat('{"apple":', 600 + i // 5, ',"google":', 300 + i // 7, '}')
    when 'stores' then concat('[{"storeId":"PAR01","count":', h % 50, '},{"storeId":"ZRH01","count":', h // 50 % 50, '}]')
    when 'api.latency' then concat(h % 400, '.', h // 400 % 100, '0')
    when 'queue.depth' then case when h % 50 = 0 then null when ${late} then concat('"', h % 300, '"') else (h % 300)::varchar end
    else concat('{"email":{"sent":', h % 9000, ',"opened":null},"sms":', h // 9000 % 500, '}')
  end`;
  // All snapshots of an hour are taken at once, in groups of fifty.
  const ticks = 'ticks - ticks % 36000000000 + 10000000 + pos // 50 * 1370000';
  return `
select ${guid('M', stretch.seed, 'i')}, ${stretch.tenant}, kind, ${value},
  case when kind in ('passes.total', 'passes.installed') then concat('{"passType":"', ${pick(['loyalty', 'gift-card', 'coupon'], 'i // 6')}, '"}')
    when kind = 'stores' then null else concat('{"source":"snapshot","n":', i // 6 % 40, '}') end,
  ${stretch.mess ? ticks : 'ticks'}
from (
  select *, ${pick(kinds, 'i')} as kind
  from (${indexedRows({ ...stretch, mess: false })})
)`;
}

/** Makes the tenants of one data set differ: FNV-1a of the name. */
function nameSeed(tenant: string): number {
  let hash = 0x811c9dc5;
  for (const char of tenant) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return (hash % 100_000) * 1600;
}
