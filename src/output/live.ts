/** Lines at the bottom of a terminal that are drawn again and again. Other text scrolls past above them. */
import type { Terminal } from './terminal.ts';
import { cut } from './width.ts';

const REDRAW_MS = 125;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export class LiveLines {
  readonly #terminal: Terminal;
  #draw: ((columns: number, rows: number) => readonly string[]) | undefined;
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  get isTTY(): boolean | undefined {
    return this.#terminal.isTTY;
  }

  get columns(): number | undefined {
    return this.#terminal.columns;
  }

  get writableLength(): number | undefined {
    return this.#terminal.writableLength;
  }

  /** `draw` returns at most `rows` lines. It is called until `stop`. */
  start(draw: (columns: number, rows: number) => readonly string[]): void {
    this.#draw = draw;
    this.#timer ??= setInterval(() => this.#redraw(), REDRAW_MS).unref();
  }

  /** Prints text that ends with a line feed, above the lines. */
  write(text: string): boolean {
    if (text === '') return true;
    const lines = this.#drawn > 0 ? this.#lines() : [];
    return this.#terminal.write(this.#erasing() + text + this.#drawing(lines));
  }

  /** Removes the lines. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = this.#draw = undefined;
    if (this.#drawn > 0) this.#terminal.write(this.#erasing());
  }

  #redraw(): void {
    const lines = this.#lines();
    if (lines.length + this.#drawn > 0) this.#terminal.write(this.#erasing() + this.#drawing(lines));
  }

  /** Lines that are wider than the terminal would take two of its lines, and could not be erased. */
  #lines(): readonly string[] {
    const { columns = DEFAULT_COLUMNS, rows = DEFAULT_ROWS } = this.#terminal;
    return (this.#draw?.(columns - 1, rows - 1) ?? []).map((line) => cut(line, columns - 1));
  }

  #erasing(): string {
    const up = this.#drawn;
    this.#drawn = 0;
    return up === 0 ? '' : `\u001B[${up}A\r\u001B[J`;
  }

  #drawing(lines: readonly string[]): string {
    this.#drawn = lines.length;
    return lines.map((line) => `${line}\n`).join('');
  }
}
