/**
 * Credentials are read at the moment a call needs them, so that a rotated key is picked up without a restart, and are
 * carried in an object that cannot print itself: no log line, error or JSON can hold one.
 */
import { exec } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { inspect, promisify } from 'node:util';
import { ConfigError } from '../kernel/errors.ts';
import type { SecretSource } from './secret-source.ts';

const MASK = '[secret]';
const COMMAND_TIMEOUT_MS = 30_000;

/** One authentication header. `value` is a getter outside of the object's own keys: spreading or printing loses it. */
export class Credential {
  readonly header: 'X-API-KEY' | 'Authorization';
  readonly #secret: string;

  constructor(header: 'X-API-KEY' | 'Authorization', secret: string) {
    this.header = header;
    this.#secret = secret;
  }

  /** The header's value, for the request itself only. */
  get value(): string {
    return this.header === 'Authorization' ? `Bearer ${this.#secret}` : this.#secret;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}

/** Where one secret comes from, and what its relative file and its environment are. */
export interface SecretPlace {
  readonly tenant: string;
  /** For messages. @default 'tenant "<tenant>"' */
  readonly whose?: string;
  readonly source: SecretSource;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that a relative `file` is resolved against. */
  readonly folder: string;
}

/** Reads a secret anew. Throws ConfigError naming the place, never the content. */
export async function readSecret(place: SecretPlace): Promise<string> {
  const { source, tenant } = place;
  const whose = place.whose ?? `tenant "${tenant}"`;
  if (source.env !== undefined)
    return usable(place.env[source.env], `environment variable ${source.env}`, tenant, whose);
  if (source.file !== undefined) {
    const path = resolve(place.folder, source.file);
    const content = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new ConfigError(`The secret of ${whose} cannot be read from a file (${error.code ?? 'error'}).`, {
        hint: 'Create the file with the key as its only content, readable by this user only.',
        where: { file: path },
      });
    });
    return usable(content, `file ${path}`, tenant, whose);
  }
  const command = source.command ?? '';
  // The cause is not attached: it would carry what the command printed.
  const output = await promisify(exec)(command, { timeout: COMMAND_TIMEOUT_MS, env: { ...place.env } }).catch(
    (error: { code?: number | string; killed?: boolean }) => {
      const outcome = error.killed === true ? 'took longer than 30 seconds' : `ended with code ${String(error.code)}`;
      throw new ConfigError(`The command that prints the secret of ${whose} ${outcome}.`, {
        hint: 'Run the command by hand; it must print the key to its standard output and end with code 0.',
        where: { tenant },
      });
    },
  );
  return usable(output.stdout, 'command’s output', tenant, whose);
}

function usable(text: string | undefined, place: string, tenant: string, whose: string): string {
  const secret = text?.trim() ?? '';
  const hint = 'Put the key there, one line of visible ASCII characters.';
  if (secret === '') throw new ConfigError(`The secret of ${whose} is empty: ${place}.`, { hint, where: { tenant } });
  // Anything else would be refused by fetch with a message that quotes the header's value.
  if (!/^[\x21-\x7e]+$/.test(secret))
    throw new ConfigError(`The secret of ${whose} is not one line of visible ASCII: ${place}.`, {
      hint,
      where: { tenant },
    });
  return secret;
}
