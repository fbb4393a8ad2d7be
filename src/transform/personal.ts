/** Finds values that look like personal data. It counts them by path and keeps none. */
import { PATH_WILDCARD, type PathSegment } from '../kernel/json-path.ts';

const LOOKS = ['e-mail address', 'phone number', 'IP address', 'user agent'] as const;
export type Look = (typeof LOOKS)[number];

const EMAIL = /[\p{L}\p{N}._%+-]@[\p{L}\p{N}-]+\.[\p{L}\p{N}.-]*\p{L}/u;
const GROUPED_NUMBER = /^(\+|00?)?\(?[0-9][0-9 ()./-]{5,20}[0-9]$/;
const PHONE_MARK = /^[+0(]|[ ()/-]/;
const DATE = /^[0-9]{4}[-/][0-9]{2}[-/]|^[0-9]{1,2}\/[0-9]{1,2}\//;
const DECIMAL_OR_ADDRESS = /^([0-9]+(\.[0-9]+){0,3}|0[0-9]*\.[0-9]+)$/;
const PLAIN_PHONE = /^((\+|00)[1-9][0-9]{7,14}|0[1-9][0-9]{8,9})$/;
const IPV4 = /^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.|(:[0-9]+)?$)){4}$/;
const IPV6 = /^[0-9A-Fa-f:]{3,39}$/;
const USER_AGENT =
  /(Mozilla|AppleWebKit|CFNetwork|Darwin|Dalvik|okhttp|Opera|curl|PostmanRuntime|python-requests|axios)\/[0-9]/;

/** Masked and hashed values match none of them. */
const CONDITIONS: Readonly<Record<Look, (text: string) => boolean>> = {
  'e-mail address': (text) => text.includes('@') && EMAIL.test(text),
  // International, national or grouped numbers, since a plain number is more often an id.
  'phone number': (text) => {
    if (PLAIN_PHONE.test(text)) return true;
    if (!GROUPED_NUMBER.test(text)) return false;
    const digits = text.replaceAll(/[^0-9]/g, '').length;
    return digits >= 8 && digits <= 15 && PHONE_MARK.test(text) && !DATE.test(text) && !DECIMAL_OR_ADDRESS.test(text);
  },
  'IP address': (text) => IPV4.test(text) || (IPV6.test(text) && (text.includes('::') || text.split(':').length === 8)),
  'user agent': (text) => text.includes('/') && USER_AGENT.test(text),
};

/** Only the beginning of longer texts is examined. */
const EXAMINED_LENGTH = 1_000;

/** What a text looks like. */
export function looksOf(text: string): Look[] {
  const examined = text.slice(0, EXAMINED_LENGTH);
  return LOOKS.filter((look) => CONDITIONS[look](examined));
}

/** The keys of an object that have counts of their own. Others share one, so that ids used as keys do not fill the memory. */
const MOST_KEYS = 1_000;

interface Place {
  /** Values at the place that are neither empty nor an object, a list or null. */
  values: number;
  readonly looks: Map<Look, number>;
  readonly places: Map<string, Place>;
}

export interface Finding {
  readonly path: readonly PathSegment[];
  readonly look: Look;
  /** Values that look like it. */
  readonly matching: number;
  /** All values at the path, those of a list one by one. */
  readonly values: number;
}

/** Counts the values of JSON documents by path. */
export class Places {
  readonly #root = newPlace();

  /** Adds the values of a document. Throws SyntaxError when the text is not JSON; nothing is counted then. */
  add(json: string): void {
    // Without recursion, so that the depth of a document has no limit.
    const open: [place: Place, value: unknown][] = [[this.#root, JSON.parse(json)]];
    for (let next = open.pop(); next; next = open.pop()) {
      const [place, value] = next;
      if (Array.isArray(value)) for (const member of value) open.push([placeBelow(place, PATH_WILDCARD), member]);
      else if (typeof value === 'object' && value !== null)
        for (const [key, member] of Object.entries(value)) open.push([placeBelow(place, key), member]);
      else if (value !== null && value !== '') count(place, typeof value === 'string' ? value : JSON.stringify(value));
    }
  }

  /** The paths that have values that look like personal data. */
  findings(): Finding[] {
    const found: Finding[] = [];
    const open: [place: Place, step: Step | undefined][] = [[this.#root, undefined]];
    for (let next = open.pop(); next; next = open.pop()) {
      const [{ values, looks, places }, step] = next;
      if (step) for (const [look, matching] of looks) found.push({ path: pathTo(step), look, matching, values });
      for (const [key, place] of places) open.push([place, { key, before: step }]);
    }
    return found;
  }
}

/** The last key of a path, and the path before it. */
interface Step {
  readonly key: string;
  readonly before: Step | undefined;
}

function pathTo(last: Step): PathSegment[] {
  const path: PathSegment[] = [];
  for (let step: Step | undefined = last; step; step = step.before)
    path.push({ text: step.key, isPattern: step.key === PATH_WILDCARD });
  return path.toReversed();
}

function newPlace(): Place {
  return { values: 0, looks: new Map(), places: new Map() };
}

/** Members of a list, an empty key and the keys beyond MOST_KEYS share the place of the wildcard. */
function placeBelow({ places }: Place, key: string): Place {
  const isOwn = key !== '' && (places.has(key) || places.size < MOST_KEYS);
  const name = isOwn ? key : PATH_WILDCARD;
  const place = places.get(name) ?? newPlace();
  places.set(name, place);
  return place;
}

function count(place: Place, text: string): void {
  place.values += 1;
  for (const look of looksOf(text)) place.looks.set(look, (place.looks.get(look) ?? 0) + 1);
}
