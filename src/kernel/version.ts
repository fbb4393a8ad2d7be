/** The version of the program, from its package. */
import { readFileSync } from 'node:fs';
import { isJsonObject, parseJson } from './json.ts';

export function packageVersion(): string {
  const manifest = parseJson(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const version = isJsonObject(manifest) ? manifest['version'] : undefined;
  return typeof version === 'string' ? version : 'unknown';
}
