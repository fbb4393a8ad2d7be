/** Lists in the value of a parameter, such as `gold,silver`. A value with a comma is written in quotes: `"a,b",c`. */
import { ConfigError } from '../kernel/errors.ts';

const ITEM = /\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)/y;

/** The values of a list, each once. Throws ConfigError for an empty value and for a quote that does not end. */
export function listedValues(name: string, text: string): readonly string[] {
  const values: string[] = [];
  const pattern = new RegExp(ITEM);
  for (;;) {
    const found = pattern.exec(text);
    const value = found?.[1]?.replaceAll('""', '"') ?? found?.[2]?.trim() ?? '';
    if (found === null || value === '')
      throw new ConfigError(`The values of "${name}" cannot be read: ${text}`, {
        hint: `Separate values by commas: ${name}=a,b. Write a value that contains a comma in double quotes: ${name}='"a,b",c'.`,
        where: { flag: '--param' },
      });
    values.push(value);
    if (found[3] === '') return [...new Set(values)];
  }
}
