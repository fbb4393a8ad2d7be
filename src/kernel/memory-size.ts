/** Bytes of a size as the configuration and DuckDB write it, such as `384MB`, `1.5 GB` or `2GiB`; 0 if it is none. */
export function memoryBytes(size: string): number {
  const match = /^([\d.]+)\s?([KMGT])(i?)B$/.exec(size);
  if (!match) return 0;
  const power = 'KMGT'.indexOf(match[2] ?? '') + 1;
  return Number(match[1]) * (match[3] === 'i' ? 1024 : 1000) ** power;
}
