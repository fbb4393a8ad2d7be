/**
 * Credentials are read when a call needs them, so that a rotated key needs no restart. They are wrapped in an object that
 * cannot print itself, so that no log line, error or JSON can contain one.
 */
import { exec } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { inspect, promisify } from 'node:util';
import { ConfigError, errorCode } from '../kernel/errors.ts';
import type { SecretSource } from './secret-source.ts';

const MASK = '[secret]';
const COMMAND_TIMEOUT_MS = 30_000;

/** One authentication header. `value` is a getter on the prototype, so spreading or printing the object omits it. */
export class Credential {
  readonly header: 'X-API-KEY' | 'Authorization';
  readonly #secret: string;

  constructor(header: 'X-API-KEY' | 'Authorization', secret: string) {
    this.header = header;
    this.#secret = secret;
  }

  /** The value of the header. Use it only in the request itself. */
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

export interface SecretPlace {
  /** For messages: `tenant "demo"`, `the webhook`. */
  readonly owner: string;
  /** For errors: the tenant, or the key of the configuration. */
  readonly where: Readonly<Record<string, string>>;
  readonly source: SecretSource;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that a relative `file` is resolved against. */
  readonly folder: string;
}

/** Reads the secret. Throws ConfigError that names the source and never the content. */
export async function readSecret({ source, owner, where, env, folder }: SecretPlace): Promise<string> {
  const checked = (text: string | undefined, place: string): string => {
    const secret = text?.trim() ?? '';
    const hint = 'The key must be one line of visible ASCII characters.';
    if (secret === '') throw new ConfigError(`The secret of ${owner} is empty: ${place}.`, { hint, where });
    // fetch would refuse anything else with a message that quotes the value.
    if (!/^[\x21-\x7e]+$/.test(secret))
      throw new ConfigError(`The secret of ${owner} is not one line of visible ASCII: ${place}.`, { hint, where });
    return secret;
  };
  if (source.env !== undefined) return checked(env[source.env], `environment variable ${source.env}`);
  if (source.file !== undefined) {
    const path = resolve(folder, source.file);
    const content = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new ConfigError(`The secret of ${owner} cannot be read from its file (${errorCode(error) ?? 'error'}).`, {
        hint: 'Create the file with the key as its only content, readable only by this user.',
        where: { file: path },
      });
    });
    return checked(content, `file ${path}`);
  }
  const command = source.command ?? '';
  // Without the cause, which would contain the output of the command.
  const output = await promisify(exec)(command, { timeout: COMMAND_TIMEOUT_MS, env: { ...env } }).catch(
    (error: { code?: number | string; killed?: boolean }) => {
      const outcome = error.killed === true ? 'took longer than 30 seconds' : `ended with code ${String(error.code)}`;
      throw new ConfigError(`The command that prints the secret of ${owner} ${outcome}.`, {
        hint: 'Run the command by hand. It must print the key to standard output and end with code 0.',
        where,
      });
    },
  );
  return checked(output.stdout, 'output of the command');
}
