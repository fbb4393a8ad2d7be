/**
 * Text from outside on a terminal. What moves the cursor, changes colours, turns the direction of writing or takes no
 * room at all is written as an escape, so that a row cannot forge, hide or reorder what stands around it.
 */

// C0 and C1 controls and DEL; soft hyphen; Arabic letter mark; zero-width characters and direction marks; line and
// paragraph separators, embeddings and overrides; word joiner to isolates and shape controls; byte order mark;
// interlinear marks; tags; halves of surrogate pairs.
const UNSEEN =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\ud800-\udfff]/gu;

/** The text with everything unseen as `\u{…}`, or `\n`, `\r`, `\t`. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, escaped);
}

/** As `visible`, for text of several lines. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

/** JSON text in which everything unseen inside of its strings is escaped: the same value for whoever parses it. */
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
