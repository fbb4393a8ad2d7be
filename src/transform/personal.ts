/** Finds values that look like personal data, as SQL over paths of a JSON column. It returns counts, never values. */
import { duckdbPath, PATH_WILDCARD } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import { sqlText } from '../kernel/sql.ts';
import { pointerSteps } from './names.ts';

const LOOKS = ['e-mail address', 'phone number', 'IP address', 'user agent'] as const;
type Look = (typeof LOOKS)[number];

/** Conditions on a value's text, the lambda parameter `txt`. Masked and hashed values match none of them. */
const CONDITIONS: Readonly<Record<Look, string>> = {
  'e-mail address': String.raw`regexp_matches(txt, '[\p{L}\p{N}._%+-]@[\p{L}\p{N}-]+\.[\p{L}\p{N}.-]*\p{L}')`,
  // International, national or grouped numbers, since a plain number is more often an id. Not a date, decimal number or IP address.
  'phone number': String.raw`regexp_full_match(txt, '(\+|00?)?\(?[0-9][0-9 ()./-]{5,20}[0-9]')
    and length(regexp_replace(txt, '[^0-9]', '', 'g')) between 8 and 15
    and regexp_matches(txt, '^[+0(]|[ ()/-]') and not regexp_matches(txt, '^[0-9]{4}[-/][0-9]{2}[-/]|^[0-9]{1,2}/[0-9]{1,2}/')
    and not regexp_full_match(txt, '[0-9]+(\.[0-9]+){0,3}|0[0-9]*\.[0-9]+') or regexp_full_match(txt, '(\+|00)[1-9][0-9]{7,14}|0[1-9][0-9]{8,9}')`,
  'IP address': String.raw`regexp_full_match(txt, '((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.|(:[0-9]+)?$)){4}')
    or (regexp_full_match(txt, '[0-9A-Fa-f:]{3,39}') and (contains(txt, '::') or length(txt) - length(replace(txt, ':', '')) = 7))`,
  'user agent': String.raw`regexp_matches(txt, '(Mozilla|AppleWebKit|CFNetwork|Darwin|Dalvik|okhttp|Opera|curl|PostmanRuntime|python-requests|axios)/[0-9]')`,
};

/** Only the beginning of longer texts is examined. */
const EXAMINED_LENGTH = 1_000;

/** The path of a JSON pointer as `property_counts` spells it: `[]` stands for the members of a list. */
export function pointerSegments(pointer: string): PathSegment[] {
  return pointerSteps(pointer).map((step) =>
    step === '[]' ? { text: '*', isPattern: true } : { text: step, isPattern: false },
  );
}

/** False for a path with a key that the engine's paths cannot name. */
export function isNameable(path: readonly PathSegment[]): boolean {
  return path.every(({ text, isPattern }) => isPattern || text !== PATH_WILDCARD);
}

/**
 * One row per type, path and look: `type`, `place` (the index of the path), `look`, `matching` (values that look like it), `total`
 * (all values at the path, lists member by member). `rows` is a select of `type` and `body`.
 */
export function looksSql(rows: string, paths: readonly (readonly PathSegment[])[]): string {
  const found = paths.map((path, index) => {
    const where = sqlText(duckdbPath(path));
    const inList = path.some(({ isPattern }) => isPattern);
    return `${inList ? `json_extract_string(body, ${where})` : `[json_extract_string(body, ${where})]`} as found${index}`;
  });
  const figures = paths.map(
    (_, index) =>
      `{'place': ${index}, 'total': sum(len(txt${index})), ${LOOKS.map((look, k) => `'look${k}': sum(len(list_filter(txt${index}, lambda txt: ${CONDITIONS[look]})))`).join(', ')}}`,
  );
  const texts = paths.map(
    (_, index) =>
      `list_transform(list_filter(found${index}, lambda txt: txt <> ''), lambda txt: left(txt, ${EXAMINED_LENGTH})) as txt${index}`,
  );
  const looks = LOOKS.map((look, k) => `{'look': ${sqlText(look)}, 'matching': figure.look${k}}`);
  return `select type, place, counted.look, counted.matching::bigint as matching, total::bigint as total
from (
  select type, figure.place as place, figure.total as total, unnest([${looks.join(', ')}]) as counted
  from (
    select type, unnest([${figures.join(',\n      ')}]) as figure
    from (select type, ${texts.join(', ')} from (select type, ${found.join(', ')} from (${rows})))
    group by type
  )
)
where counted.matching > 0`;
}
