/** An output stream, and whether it is a terminal. */
export interface Terminal extends NodeJS.WritableStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** Bytes that the stream holds because its reader is slower. */
  readonly writableLength?: number | undefined;
}

/** Colours only on a terminal, and never with a non-empty NO_COLOR (no-color.org). */
export function colours(terminal: Terminal, env: Readonly<Record<string, string | undefined>>): boolean {
  return terminal.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}
