/**
 * SQL that generates a part of the Events table: the life of wallet passes, computed only from the index of each row.
 *
 * Row i belongs to cycle i / 20 and has the role of one of its 20 slots. Each cycle creates two passes; later slots continue
 * a pass of an earlier cycle. Which one is given by a permutation inside blocks of cycles, shifted by whole blocks, so
 * that every step of a pass's life happens at most once and always after the previous step, without state or sorting:
 *   fast blocks (about an hour): created, +1 installed, +2 scanned, +3 updated
 *   slow blocks (about a day):   created, +1 installed, +2 removed, +3 installed again or on a second device, +4 scanned,
 *                                +4 notified, +5 scanned again, +6 removed, +8 installed again
 * The hash of a pass decides whether it is ever installed, removed, and so on. A role without a suitable pass becomes a
 * page view or an API request. The passes of a cycle belong to one customer.
 */
import type { HourOfRows } from './synthetic-hours.ts';

export interface Stretch {
  readonly hours: readonly HourOfRows[];
  /** Rows of the whole table. The schema changes half-way through it. */
  readonly total: number;
  readonly days: number;
  readonly seed: number;
  /** The value of the tenantId column, as an SQL literal. */
  readonly tenant: string;
  /** Adds ties, duplicates, null ids, revised copies, and both spellings of event types. Without it every row is clean. */
  readonly mess: boolean;
}

const SLOTS = 20;
/** SQL of the number of the customer to whom the passes of a cycle belong. */
const CUSTOMER = '(10000 + q0)';

/** A select of the Events columns in the order of their timestamps. */
export function eventsSql(stretch: Stretch): string {
  const { total, days, seed, tenant, mess } = stretch;
  const cycles = Math.max(1, Math.floor(total / SLOTS));
  const fast = powerOfTwo(cycles / (days * 24));
  const slow = Math.max(fast, powerOfTwo(Math.min(cycles / days, cycles / 10)));
  return `
select
  ${mess ? `case when d % 6007 = 0 then null else ${guid('E', seed, 'i')} end` : guid('E', seed, 'i')},
  ticks,
  ${tenant},
  ${mess ? `case when h // 7 % 100 < 12 then lower(replace(kind, ':', '.')) else kind end` : 'kind'},
  case when kind = 'Customer:Upserted' then '' else concat('op-', i) end,
  concat(${properties(total)}${mess ? `, case when revised then ',"revision":2}' else '}' end` : `, '}'`})
from (
  select *, ${pick(['PAR01', 'PAR02', 'LYO01', 'NCE01', 'ZRH01', 'CPH01', 'OSA01', 'SAO01'], 'h2 // 11')} as store,
    case
      when slot < 2 then 'Pass:Created'
      when slot in (9, 10) and installed then 'Pass:Installed'
      when slot = 11 and installed and case when removed then again else second end then 'Pass:Installed'
      when slot = 12 and installed and removed then 'Pass:Uninstalled'
      when slot = 13 and installed then 'Pass:Scanned'
      when slot = 14 and installed and (not removed or again) then 'Pass:Scanned'
      when slot = 15 and alive then 'Pass:Updated'
      when slot = 16 and notified then 'Notification:Sent'
      when slot = 18 and notified and answers then 'Pass:Scanned'
      when slot = 8 and notified and leaves then 'Pass:Uninstalled'
      when slot = 7 and notified and leaves and returns then 'Pass:Installed'
      when slot = 17 then 'Customer:Upserted'
      when slot = 2 then 'Redirect:Redirected'
      when slot in (3, 4, 5, 9, 12, 16, 19) then 'PageView'
      else 'ApiRequest'
    end as kind
  from (
    select *, to_base((pass * 2654435761 + ${seed}) % 1099511627776, 36) as pass_id,
      alive and hp % 100 < 70 as installed,
      hp // 100 % 100 < 58 as apple,
      hp // 10000 % 100 < 45 and pass % 2 = chosen as removed,
      hp // 1000000 % 100 < 30 as again,
      hp // 100000000 % 100 < 12 as second,
      hp // 10000000000 % 100000 as h2,
      (hash(pass, ${seed + 7}) >> 1)::bigint as r,
      installed and (not removed or again) as notified,
      -- Later campaigns do better.
      r // 100 % 100 < 30 + i * 4 // ${Math.max(1, total)} * 8 as answers,
      r % 90 < 12 and (removed or not second) as leaves,
      r // 10000 % 100 < 40 as returns
    from (
      select *, (hash(pass, ${seed + 4}) >> 1)::bigint as hp
      from (
        select *, q0 * 2 + case when slot < 2 then slot when slot in (9, 13, 15) then 0 when slot = 10 then 1 else chosen end as pass
        from (
          select *, (hash(q0, ${seed + 3}) % 2)::bigint as chosen
          from (
            select *, q // block >= shift as alive,
              case when q // block < shift or shift = 0 then q
                else (q // block - shift) * block + (q % block * 7919 + (hash(q // block, ${seed + 2}) % 65536)::bigint) % block
              end as q0
            from (
              select *, i // ${SLOTS} as q, ${slot('i')} as slot,
                case when ${slot('i')} in (9, 13, 15) then ${fast} else ${slow} end as block,
                case ${slot('i')} when 9 then 1 when 10 then 1 when 11 then 3 when 12 then 2 when 13 then 2 when 14 then 4
                  when 15 then 3 when 16 then 4 when 18 then 5 when 8 then 6 when 7 then 8 else 0 end as shift
              from (${indexedRows(stretch)})
            )
          )
        )
      )
    )
  )
)`;
}

/**
 * One row per index: `i` (a duplicate repeats the previous index), `ticks` (never decreasing), two hashes and the flags.
 * Used by all tables.
 */
export function indexedRows({ hours, seed, mess }: Stretch): string {
  const values = hours.map(({ start, span, first, rows, hot }) => `(${start}, ${span}, ${first}, ${rows}, ${hot})`);
  // Copies replace only page views and the like: replacing an installation would leave a removal without one.
  const copy = mess
    ? `case when k > 0 and hash(first + k, ${seed + 1}) % 400 = 0 and ${slot('(first + k)')} in (2, 3, 4, 5, 6, 17, 19) then 1 else 0 end`
    : '0';
  const tie = mess ? `case when pos > 0 and h % 40 = 0 then 1 else 0 end` : '0';
  // All rows of a second or millisecond are rounded down together, so that a row never comes before its cause.
  const ticks = mess
    ? `case
        when hash(t // 10000000, ${seed}) % 8 = 0 then t - t % 10000000
        when hash(t // 10000, ${seed}) % 4 = 0 then t - t % 10000
        else t
      end`
    : 't';
  return `
    select i, pos, h, d, d // 1000 % 5 = 0 and copied = 1 as revised, ${ticks} as ticks
    from (
      select *, start + (pos * span + case when hot > 0 and pos = rows // 3 then 0 else (hash(first + pos, ${seed + 5}) >> 1)::bigint % span end) // rows as t
      from (
        select * replace (case when hot > 0 and pos between rows // 3 and rows // 3 + hot then rows // 3 else pos - ${tie} end as pos)
        from (
          select *, first + k - copied as i, k - copied as pos, (hash(first + k - copied, ${seed}) >> 1)::bigint as h,
            (hash(first + k, ${seed + 6}) >> 1)::bigint as d
          from (
            select *, ${copy} as copied
            from (select unnest(range(rows)) as k, * from (values ${values.join(', ')}) hours(start, span, first, rows, hot))
          )
        )
      )
    )`;
}

/** The role of an index in its cycle. In steps of seven, so that the row before a page view is a step of a pass's life. */
function slot(index: string): string {
  return `(${index} * 7 % ${SLOTS})`;
}

/** SQL of a guid that is derived from a row's index. */
export function guid(table: string, seed: number, index: string): string {
  return `md5(concat('${table}${seed}-', ${index}))::uuid::varchar`;
}

/** SQL that picks one of the texts by a number. */
export function pick(texts: readonly string[], by: string): string {
  return `([${texts.map((text) => `'${text.replaceAll("'", "''")}'`).join(', ')}])[1 + (${by}) % ${texts.length}]`;
}

/** The JSON text of an event's properties without the closing brace, because a revised copy adds a member. */
function properties(total: number): string {
  const late = `i >= ${Math.floor(total / 2)}`;
  const passType = pick(['loyalty', 'loyalty', 'loyalty', 'gift-card', 'event-ticket', 'coupon'], 'h2');
  const passKind = pick(['customerCard', 'customerCard', 'customerCard', 'giftCard', 'eventTicket', 'offer'], 'h2');
  const pass = `'{"passId":"P', pass_id, '","passType":"', ${passType}, '"'`;
  const customer = `',"identifiers":{"customerId":"C-', ${CUSTOMER}, '"}'`;
  // A quarter of the rows each, and the next one begins before the last one ends.
  const campaign = (next: string): string =>
    pick(['spring', 'summer', 'rentrée', 'noël'], `i * 4 // ${Math.max(1, total)} + ${next}`);
  const device = `case when apple = (slot <> 11 or removed) then 'apple' else 'google' end`;
  const counts = `case when kind = 'Pass:Uninstalled' then '0,"totalRegistrationCount":1' when slot = 11 and not removed then '2,"totalRegistrationCount":2' else '1,"totalRegistrationCount":1' end`;
  const agent = pick(
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)',
      'Mozilla/5.0 (Linux; Android 15; Pixel 9)',
      'Mozilla/5.0',
    ],
    'h // 31',
  );
  const source = [
    `',"registrationSource":{"tags":["'`,
    pick(['newsletter', 'instagram', 'in-store', 'sms'], 'h // 13'),
    `'","'`,
    campaign('h // 17 % 2'),
    `'"],"medium":"'`,
    pick(['email', 'social', 'qr', 'sms'], 'h // 13'),
    `'","origin":"https://brand.example/'`,
    pick(['card', 'fr/carte', 'été', 'gift'], 'h // 19'),
    `'","userAgent":"'`,
    agent,
    `'"}'`,
  ].join(', ');
  const city = pick(['Paris', 'Lyon', 'Nice', 'Zürich', 'København', '大阪', 'S\\u00e3o Paulo'], 'h2 // 11');
  const tier = `case when ${late} then concat(',"tier":{"name":"', ${pick(['silver', 'gold', 'black'], 'h2')}, '","points":', h2 % 5000, '.0}') else '' end`;
  const title = pick(
    ['Carte fidélité', 'Carte \\u00c9t\\u00e9 \\"Privilège\\"', 'ギフトカード 🎁', 'Loyalty card'],
    'h // 23',
  );
  const status = `case when h // 29 % 100 < 96 then 200 when h // 29 % 3 = 0 then 429 when h // 29 % 3 = 1 then 404 else 500 end`;
  return `case kind
    when 'Pass:Created' then concat(${pass}, ',"passKind":"', ${passKind}, '"', ${customer}, ',"metadata":{"storeId":"', store, '","city":"', ${city}, '"', ${tier}, '}')
    when 'Pass:Updated' then concat(${pass}, ${customer}, ',"changes":["points","', ${pick(['tier', 'expiry', 'name'], 'h')}, '"]')
    when 'Pass:Installed' then concat(${pass}, ',"device":"', ${device}, '"', ${customer}, ',"registrationInformation":{"activeRegistrationCount":', ${counts}, '}', ${source})
    when 'Pass:Uninstalled' then concat(${pass}, ',"device":"', ${device}, '"', ${customer}, ',"registrationInformation":{"activeRegistrationCount":', ${counts}, '}')
    when 'Pass:Scanned' then concat(${pass}, ',"type":"', ${pick(['qrcode', 'qrcode', 'pdf417', 'nfc'], 'h')}, '","storeId":"', store, '"')
    when 'Notification:Sent' then concat(${pass}, ',"campaign":"', ${campaign('h2 // 7 % 3 // 2')}, '"')
    when 'Customer:Upserted' then concat('{"customerId":"C-', ${CUSTOMER}, '","name":"', ${pick(['Zoë', 'Łukasz', 'René', '美咲', 'Anna'], 'q0')}, '","consent":', case when h % 3 = 0 then 'false' else 'true' end)
    when 'Redirect:Redirected' then concat('{"redirectId":"qr-', lower(store), '","storeId":"', store, '","target":"/brand/user"')
    when 'PageView' then concat('{"url":"https://brand.example/', ${pick(['card', 'offers', 'stores', 'account'], 'h')}, '","title":"', ${title}, '","referrer":', case when h % 2 = 0 then 'null' else '"https://search.example/"' end, ',"userAgent":"', ${agent}, '"')
    else concat('{"method":"', ${pick(['GET', 'GET', 'POST'], 'h')}, '","path":"/api/passes/', h % 1000, '","statusCode":', case when ${late} then concat('"', ${status}, '"') else (${status})::varchar end, ',"durationMs":', h // 37 % 900, case when ${late} then '.5' else '' end)
  end`;
}

/** The largest power of two that is at most `limit`, and at least 1. */
function powerOfTwo(limit: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, limit))));
}
