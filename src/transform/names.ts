/** Readable names for views and columns, made from the source's names of types and keys. */
import { createHash } from 'node:crypto';

/** PostgreSQL and its tools cut names at 63 bytes. */
const MAX_LENGTH = 60;

/** `Pass:Installed` → `pass_installed`, `activeRegistrationCount` → `active_registration_count`; may be empty. */
export function snake(text: string): string {
  return (
    text
      .normalize('NFKD')
      // Accents are separate characters now.
      .replaceAll(/\p{M}/gu, '')
      .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
      .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1_$2')
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '_')
      .replaceAll(/^_+|_+$/g, '')
  );
}

/** `event_pass_installed` for a type of events. A type without ASCII letters or digits is named by its digest. */
export function viewName(noun: string, type: string, isTaken: (name: string) => boolean): string {
  const words = snake(type).replace(new RegExp(`^${noun}_(?=.)`), '');
  return free(bounded(`${noun}_${words === '' ? (type === '' ? 'untyped' : digest(type)) : words}`, type), isTaken);
}

/** The steps of a JSON pointer. */
function pointerSteps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** `registration_source_medium` for a property, `value_apple` for a part of a metric's value. */
export function columnName(
  jsonColumn: string,
  pointer: string,
  isReserved: (name: string) => boolean,
  isTaken: (name: string) => boolean,
): string {
  if (pointer === '') return jsonColumn;
  const words = pointerSteps(pointer).map(snake);
  const plain = words.filter((word) => word !== '').join('_');
  const isProperty = jsonColumn === 'properties';
  const isUsable = isProperty && plain !== '' && !/^\d/.test(plain) && !isReserved(plain);
  const name = isUsable ? plain : `${isProperty ? 'property' : jsonColumn}_${plain === '' ? digest(pointer) : plain}`;
  return free(bounded(name, pointer), isTaken);
}

/** A path for people: `registrationSource.medium`, `lines[].price`. */
export function shownPath(pointer: string): string {
  return shown(pointerSteps(pointer).join('.').replaceAll('.[]', '[]'));
}

/** Text of the source for display: characters that control a terminal or change the text direction are escaped. */
export function shown(text: string): string {
  const cut = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return cut.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (mark) => `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

function bounded(name: string, original: string): string {
  return name.length <= MAX_LENGTH ? name : `${name.slice(0, MAX_LENGTH - 9).replace(/_+$/, '')}_${digest(original)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

function free(name: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(name)) return name;
  for (let number = 2; ; number++) if (!isTaken(`${name}_${number}`)) return `${name}_${number}`;
}
