/** What personal data looks like, as SQL over the values at paths of a JSON column. Values go in, counts come out. */
import { duckdbPath, PATH_WILDCARD } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import { sqlText } from '../kernel/sql.ts';

const LOOKS = ['e-mail address', 'phone number', 'IP address', 'user agent'] as const;
type Look = (typeof LOOKS)[number];

/** Masked and hashed values look like none of them. `said` is the value's text. */
const CONDITIONS: Readonly<Record<Look, string>> = {
  'e-mail address': String.raw`regexp_matches(said, '[\p{L}\p{N}._%+-]@[\p{L}\p{N}-]+\.[\p{L}\p{N}.-]*\p{L}')`,
  // International, national or grouped: a bare number is more often an id. No date, no decimal number, no IP address.
  'phone number': String.raw`regexp_full_match(said, '(\+|00?)?\(?[0-9][0-9 ()./-]{5,20}[0-9]')
    and length(regexp_replace(said, '[^0-9]', '', 'g')) between 8 and 15
    and regexp_matches(said, '^[+0(]|[ ()/-]') and not regexp_matches(said, '^[0-9]{4}[-/][0-9]{2}[-/]|^[0-9]{1,2}/[0-9]{1,2}/')
    and not regexp_full_match(said, '[0-9]+(\.[0-9]+){0,3}|0[0-9]*\.[0-9]+') or regexp_full_match(said, '(\+|00)[1-9][0-9]{7,14}|0[1-9][0-9]{8,9}')`,
  'IP address': String.raw`regexp_full_match(said, '((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.|(:[0-9]+)?$)){4}')
    or (regexp_full_match(said, '[0-9A-Fa-f:]{3,39}') and (contains(said, '::') or length(said) - length(replace(said, ':', '')) = 7))`,
  'user agent': String.raw`regexp_matches(said, '(Mozilla|AppleWebKit|CFNetwork|Darwin|Dalvik|okhttp|Opera|curl|PostmanRuntime|python-requests|axios)/[0-9]')`,
};

/** Longer texts are judged by their beginning. */
const JUDGED_LENGTH = 1_000;

/** The path of a JSON pointer as the catalogue of properties spells it: `[]` stands for the members of a list. */
export function pointerSegments(pointer: string): PathSegment[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) =>
      step === '[]'
        ? { text: '*', isPattern: true }
        : { text: step.replaceAll('~1', '/').replaceAll('~0', '~'), isPattern: false },
    );
}

/** False for a key that the engine's paths cannot name. */
export function isNameable(path: readonly PathSegment[]): boolean {
  return path.every(({ text, isPattern }) => isPattern || text !== PATH_WILDCARD);
}

/**
 * One row per type, path and look: `type`, `place` (of the path), `look`, `told` (values that look so), `seen` (all that
 * there are, lists member by member). `rows` is a select of `type` and `body`.
 */
export function looksSql(rows: string, paths: readonly (readonly PathSegment[])[]): string {
  const found = paths.map((path, index) => {
    const where = sqlText(duckdbPath(path));
    const inList = path.some(({ isPattern }) => isPattern);
    return `${inList ? `json_extract_string(body, ${where})` : `[json_extract_string(body, ${where})]`} as found${index}`;
  });
  const figures = paths.map(
    (_, index) =>
      `{'place': ${index}, 'seen': sum(len(said${index})), ${LOOKS.map((look, k) => `'look${k}': sum(len(list_filter(said${index}, lambda said: ${CONDITIONS[look]})))`).join(', ')}}`,
  );
  const said = paths.map(
    (_, index) =>
      `list_transform(list_filter(found${index}, lambda said: said <> ''), lambda said: left(said, ${JUDGED_LENGTH})) as said${index}`,
  );
  const looks = LOOKS.map((look, k) => `{'look': ${sqlText(look)}, 'told': figure.look${k}}`);
  return `select type, place, counted.look, counted.told::bigint as told, seen::bigint as seen
from (
  select type, figure.place as place, figure.seen as seen, unnest([${looks.join(', ')}]) as counted
  from (
    select type, unnest([${figures.join(',\n      ')}]) as figure
    from (select type, ${said.join(', ')} from (select type, ${found.join(', ')} from (${rows})))
    group by type
  )
)
where counted.told > 0`;
}
