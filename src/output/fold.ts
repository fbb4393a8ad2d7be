/** Lines that are too long for a terminal are broken between words. */
import { width } from './width.ts';

/** Breaks a text between its words. A word that is longer than a line has a line of its own. */
export function wrapped(text: string, room: number): string[] {
  if (width(text) <= room) return [text];
  const result: string[] = [];
  for (const word of text.split(' ')) {
    const last = result.at(-1);
    if (last !== undefined && width(last) + 1 + width(word) <= room) result[result.length - 1] = `${last} ${word}`;
    else result.push(word);
  }
  return result;
}

/** Folds the lines of a text that are wider than `room`; what follows is indented further than their first line. */
export function folded(text: string, room: number | undefined): string {
  if (room === undefined) return text;
  return text
    .split('\n')
    .map((line) => {
      if (width(line) <= room) return line;
      const indent = ' '.repeat(line.length - line.trimStart().length);
      const [first = '', ...more] = wrapped(line.trimStart(), room - indent.length - HANGING.length);
      return [indent + first, ...more.map((part) => indent + HANGING + part)].join('\n');
    })
    .join('\n');
}

const HANGING = '  ';
