/** What `layout-page.mjs` makes of the figures of `npm run layout`. */
export function layoutTables(result: unknown): string;
export function layoutPart(results: readonly unknown[]): string;
