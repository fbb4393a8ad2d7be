/** `plan --simulate tenants=100,rowsPerDay=5000,years=5`: what a lake of that size would cost, without a source or a configuration. */
import { z } from 'zod';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { WORKLOAD } from '../model/scale.ts';
import type { Workload } from '../model/scale.ts';
import { MOST_SHARDS } from '../model/shard.ts';

const between = (least: number, most: number) => z.number().min(least).max(most);
/** What may be given. The descriptions are those of docs/scale.md, and the defaults are `WORKLOAD`. */
export const VALUES = z.strictObject({
  tenants: between(1, 1_000_000).int().describe('tenants'),
  rowsPerDay: between(0, 1e10).describe(
    'rows of one tenant on one day, in all tables: 85 % Events, 10 % Logs, 5 % Metrics',
  ),
  years: between(0.0027, 100).describe(
    'history that the first load fetches and the lake holds; of Logs the source has only 45 days',
  ),
  bytesPerRow: between(150, 1_000_000).describe('size of a row as a page is planned: 150 bytes and its properties'),
  callsPerMinute: between(0, 10_000).int().describe('the limit of the source for one tenant; 0 is no limit'),
  shards: between(1, MOST_SHARDS).int().describe('[workers](#many-workers) that share the tenants'),
  dollarsPerGBMonth: between(0, 1000).describe('price of a gigabyte in the object store: look up yours'),
  dollarsPer1000Writes: between(0, 1000).describe('price of 1,000 writes to the object store: look up yours'),
});
const NAMES = VALUES.keyof().options;

/** Values separated by commas. Throws ConfigError for an unknown name, one that is given twice, a text that is no number, and a number out of bounds. */
export function workloadOf(text: string): Workload {
  const given: Partial<Record<keyof Workload, number>> = {};
  for (const part of text.split(',')) {
    const [word = '', ...sides] = part.split('=').map((side) => side.trim());
    const value = sides.join('=');
    const name = NAMES.find((each) => each === word);
    if (name === undefined)
      throw new ConfigError(`--simulate does not know "${word}".`, {
        hint: `${didYouMean(word, NAMES)}Known: ${NAMES.join(', ')}.`,
      });
    if (given[name] !== undefined)
      throw new ConfigError(`--simulate: ${name} is given twice.`, { hint: 'Give each value once.' });
    const { minValue, maxValue, isInt } = VALUES.shape[name];
    const found = VALUES.shape[name].safeParse(/^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined);
    if (!found.success)
      throw new ConfigError(`--simulate: ${name} cannot be "${value}".`, {
        hint: `Give a ${isInt ? 'whole ' : ''}number from ${minValue} to ${maxValue}, without separators.`,
      });
    given[name] = found.data;
  }
  return { ...WORKLOAD, ...given };
}
