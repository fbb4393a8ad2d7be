/** Numbers, sizes and times for people, and JSON that keeps big integers exact. */
import { count } from '../kernel/plural.ts';

/** `1.2 MB`: decimal units, as disks and browsers count. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let rest = value;
  let unit = 0;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${unit === 0 || rest >= 100 ? count(Math.round(rest)) : rest.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `0.4 s`, `42 s`, `3 min 20 s`, `5 h 12 min`, `12 d 3 h`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${count(Math.floor(whole / 86_400))} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** `25 %`, `2.5 %`, `0.25 %`. */
export function percent(share: number): string {
  if (share > 0 && share < 0.000_05) return '< 0.01 %';
  return `${(share * 100).toFixed(share < 0.01 ? 2 : share < 0.1 ? 1 : 0)} %`;
}

/** One line of JSON. Integers beyond 2^53 become strings, to keep all digits. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return Number.isSafeInteger(Number(inner)) ? Number(inner) : inner.toString();
    return inner instanceof Map ? Object.fromEntries(inner) : inner;
  });
}

/** `and 27 more`: what a list leaves out. */
export function andMore(hidden: number): string {
  return `and ${count(hidden)} more`;
}
