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

/** How text is written to an output stream. */
export interface Style {
  /** It may contain colour codes. */
  readonly colour: boolean;
  /** Characters in a line of the terminal; undefined in a pipe, where no line is too long. */
  readonly width?: number | undefined;
}

export function styleOf(terminal: Terminal, env: Readonly<Record<string, string | undefined>>): Style {
  const { columns = 0 } = terminal;
  return { colour: colours(terminal, env), ...(terminal.isTTY === true && columns > 0 ? { width: columns } : {}) };
}
