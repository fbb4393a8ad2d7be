/** The layouts that `npm run layout` compares. */
interface Variant {
  readonly property: string;
  readonly name: string;
  readonly needsUuids?: boolean;
}
export const VARIANTS: readonly Variant[];
export function copySql(
  variant: Variant,
  from: string,
  to: string,
  metadata: readonly (readonly [string, string])[],
): string;
