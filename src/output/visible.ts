/**
 * Text from outside, made safe for a terminal. Characters that move the cursor, change colours, change the writing
 * direction or have no width are escaped, so that a row cannot forge, hide or reorder the text around it.
 */

// C0 and C1 controls and DEL; soft hyphen; Arabic letter mark; zero-width characters and direction marks; line and
// paragraph separators, embeddings and overrides; word joiner to isolates and shape controls; byte order mark;
// interlinear marks; tags; halves of surrogate pairs.
const UNSEEN =
  // oxlint-disable-next-line no-control-regex -- it matches control characters on purpose
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** Escapes invisible characters as `\u{…}`, or as `\n`, `\r`, `\t`. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, escaped);
}

/** Like `visible`, but keeps line breaks. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

/** Escapes invisible characters inside JSON strings. The parsed value stays the same. */
export function visibleJson(json: string): string {
  return json.replaceAll(UNSEEN, (character) =>
    character === '\n'
      ? character
      : [...Array(character.length).keys()]
          .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
          .join(''),
  );
}

function escaped(character: string): string {
  const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character];
  return short ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
