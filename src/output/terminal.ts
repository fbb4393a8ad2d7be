/** What the program reads of an output: enough of a stream to write to and to know a terminal by. */
export interface Terminal extends NodeJS.WritableStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Colours only on a terminal, and never against NO_COLOR (any value that is not empty, as no-color.org asks). */
export function colours(terminal: Terminal, env: Readonly<Record<string, string | undefined>>): boolean {
  return terminal.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}
