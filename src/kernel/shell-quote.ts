/** The text as one word of a POSIX shell, whatever characters it has. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
