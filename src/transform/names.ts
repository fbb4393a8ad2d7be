/** Readable names for views and columns, made from the source's names of types and keys. */
import { createHash } from 'node:crypto';
import { spellKey } from '../kernel/json-path.ts';

/** Bytes. PostgreSQL and its tools cut names at 63. */
const MAX_LENGTH = 60;

/** Characters that names keep: letters and digits of any script with their marks, and emoji. All others separate words. */
const SEPARATORS =
  /[^\p{L}\p{N}\p{M}\p{Extended_Pictographic}\p{Regional_Indicator}\p{Emoji_Modifier}]+|[\uFE00-\uFE0F©®™]|[\u{E0100}-\u{E01EF}]/gu;

/**
 * `Pass:Installed` → `pass_installed`, `activeRegistrationCount` → `active_registration_count`, `Größe` → `größe`, `客户.编号` →
 * `客户_编号`; may be empty. Latin letters lose their accents; in other scripts marks are part of the word.
 */
export function snake(text: string): string {
  return (
    text
      .normalize('NFKD')
      // Accents are separate characters now.
      .replaceAll(/([\p{Script=Latin}\p{N}\p{P}\p{S}\p{Z}])\p{Script=Inherited}+/gu, '$1')
      .normalize('NFC')
      .replaceAll(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1_$2')
      .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1_$2')
      .toLowerCase()
      .replaceAll(SEPARATORS, '_')
      // A mark that nothing precedes has no letter to stand on.
      .replaceAll(/(^|_)\p{M}+/gu, '$1')
      .replaceAll(/_+/g, '_')
      .replaceAll(/^_|_$/g, '')
  );
}

/** `event_pass_installed` for a type of events. A type without letters and digits is named by its digest. */
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

/** A path for people: `registrationSource.medium`, `lines[].price`, `"a.b".c`. */
export function shownPath(pointer: string): string {
  const path = pointerSteps(pointer).map((step) => (step === '[]' ? step : `.${spellKey(step)}`));
  return shown(path.join('').replace(/^\./, ''));
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
  if (Buffer.byteLength(name) <= MAX_LENGTH) return name;
  let start = '';
  for (const character of name) {
    if (Buffer.byteLength(start + character) > MAX_LENGTH - 9) break;
    start += character;
  }
  return `${start.replace(/_+$/, '')}_${digest(original)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

function free(name: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(name)) return name;
  for (let number = 2; ; number++) if (!isTaken(`${name}_${number}`)) return `${name}_${number}`;
}
