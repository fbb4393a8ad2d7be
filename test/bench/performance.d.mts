/** What `performance.mjs` makes of the figures of a bench. */
export function table(result: unknown): string;
export function mistakesTable(result: unknown): string | undefined;
export function document(result: unknown): string;
export function linesOfCode(script: string): number;
