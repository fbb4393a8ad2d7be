/** The texts that several keys share: addresses, paths, time zones and cron expressions. */
import { z } from 'zod';
import { notLocal } from '../kernel/local-path.ts';

/** True for this machine, where plain http is safe: the sandbox runs there. */
export function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}

export const webUrl = (mayHaveQuery: boolean) =>
  z.string().superRefine((text, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    if (text.trim() !== text) return refuse('a URL without white space around it');
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) refuse('an https URL such as https://app.neostore.cloud');
    else if (url.username !== '' || url.password !== '') refuse('a URL without a user name or password');
    else if (!mayHaveQuery && (url.search !== '' || url.hash !== '')) refuse('a URL without ? and #');
    else if (url.protocol === 'http:' && !isLoopback(url))
      refuse('https (plain http only for a service on this machine)');
  });

export const folder = z
  .string()
  .min(1)
  .superRefine((path, context) => {
    const instead = notLocal(path);
    if (instead !== undefined) context.addIssue({ code: 'custom', message: instead });
  })
  .regex(/^(?!~|[A-Za-z][A-Za-z0-9+.-]*:\/\/)/, { error: 'a path on this machine' });

export const ZONE_FORM = 'an IANA time zone such as Europe/Paris';
export const INSTANT_FORM = 'an ISO date or instant such as 2026-01-31';

const zoneError = { error: ZONE_FORM };
export const timeZone = z
  .string()
  .regex(/^(?:[A-Za-z][\w+-]*(?:\/[\w+-]+)*|[+-]\d\d:?\d\d)$/, zoneError)
  .refine(isTimeZone, zoneError);

/** Minute, hour, day, month and weekday, with seconds before them if there are six. The schedule itself parses it more strictly. */
const CRON = (() => {
  const list = (value: string): string => {
    const item = `(?:[*?]|(?:${value})(?:-(?:${value}))?)(?:/[1-9]\\d*)?`;
    return `${item}(?:,${item})*`;
  };
  const [sixty, hour, day] = ['[0-5]?\\d', '[01]?\\d|2[0-3]', '0?[1-9]|[12]\\d|3[01]'];
  const [month, weekday] = ['0?[1-9]|1[0-2]|[A-Za-z]{3}', '[0-7]|[A-Za-z]{3}'];
  const fields = [sixty, hour, day, month, weekday].map(list).join('\\s+');
  return new RegExp(`^\\s*(?:@[a-z]+|(?:${list(sixty)}\\s+)?${fields})\\s*$`);
})();

export const cron = z.string().regex(CRON, { error: 'five fields: minute hour day month weekday, such as 0 3 * * *' });

export function isTimeZone(text: string): boolean {
  // The default, without loading the data of all zones.
  if (text === 'UTC') return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: text }).format();
    return true;
  } catch {
    return false;
  }
}
