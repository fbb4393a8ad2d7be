/** The version of the program, from its package. */
import { readFileSync } from 'node:fs';
import { isJsonObject, parseJson } from './json.ts';

let known: string | undefined;

export function packageVersion(): string {
  known ??= readVersion();
  return known;
}

/** A member of every state file: which version wrote it. For people; no program reads it. */
export function writtenBy(): { readonly program: string } {
  return { program: packageVersion() };
}

function readVersion(): string {
  const manifest = parseJson(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const version = isJsonObject(manifest) ? manifest['version'] : undefined;
  return typeof version === 'string' ? version : 'unknown';
}
