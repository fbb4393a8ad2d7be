/**
 * Where values come from: file, environment, flags; the later one wins. Each layer knows the origin of its values, so that
 * an error names the place where a value was written.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { closest } from '../kernel/closest.ts';
import { ConfigError, errorCode } from '../kernel/errors.ts';
import { isJsonObject } from '../kernel/json.ts';
import { notLocal } from '../kernel/local-path.ts';
import type { JsonObject } from '../kernel/json.ts';
import { refusal, type Mistake } from './explain.ts';
import { environmentKeys, SPECIAL_VARIABLES } from './names.ts';

export type Path = readonly PropertyKey[];
/** Configuration keys as written, before they are validated. */
export type Tree = JsonObject;
type Environment = Readonly<Record<string, string | undefined>>;

export interface Layer {
  readonly values: Tree;
  /** The origin of the value at `path`, or of the nearest value around it; undefined if the layer has neither. */
  origin(path: Path): Readonly<Record<string, string | number>> | undefined;
}

/** Names of a configuration file in the current folder. */
export const FILE_NAMES = ['insights.yaml', 'insights.yml', 'insights.json'] as const;

/** The file named by `--config` or INSIGHTS_CONFIG, otherwise the one in the current folder, if any. */
export function findFile(named: string | undefined, cwd: string): string | undefined {
  const instead = named === undefined ? undefined : notLocal(named);
  if (instead !== undefined)
    throw new ConfigError(`"${named}" is not a file of this machine.`, {
      hint: `Give --config or INSIGHTS_CONFIG ${instead}.`,
    });
  if (named !== undefined) return resolve(cwd, named);
  const found = FILE_NAMES.map((name) => resolve(cwd, name)).filter((path) => existsSync(path));
  if (found.length > 1)
    throw new ConfigError(`There is more than one configuration file: ${found.join(', ')}.`, {
      hint: 'Remove all but one, or choose one with --config.',
      where: { folder: cwd },
    });
  return found[0];
}

/** Reads YAML or JSON. Throws ConfigError with the line of a syntax error. */
export function fileLayer(path: string): Layer {
  const counter = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: counter, prettyErrors: false });
  const broken = document.errors.map(({ code, pos }) => ({
    text: `The configuration file is not valid YAML: ${code.toLowerCase().replaceAll('_', ' ')}.`,
    hint: 'Correct this line; docs/config.md has an example.',
    where: { file: path, line: counter.linePos(pos[0]).line },
  }));
  if (broken.length > 0) throw refusal(broken, path);
  const values: unknown = document.toJS() ?? {};
  if (!isJsonObject(values))
    throw new ConfigError('The configuration file has no keys at its top level.', {
      hint: 'Write `key: value` lines; docs/config.md has an example.',
      where: { file: path },
    });
  return {
    values,
    origin(valuePath) {
      for (let length = valuePath.length; length > 0; length--) {
        const node = document.getIn(valuePath.slice(0, length), true);
        const range = isJsonObject(node) ? (node as { range?: readonly [number, number, number] }).range : undefined;
        if (range) return { file: path, line: counter.linePos(range[0]).line };
      }
      return { file: path };
    },
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`The configuration file cannot be read (${errorCode(error) ?? 'error'}).`, {
      hint: 'Check the path given by --config or INSIGHTS_CONFIG, and that this user may read it.',
      where: { file: path },
      cause: error,
    });
  }
}

/**
 * Values from INSIGHTS_<SECTION>_<KEY>. An unknown INSIGHTS_ variable that looks like a typo of a known one is refused.
 * Others are ignored, because a tenant's secret may be called INSIGHTS_KEY_SHOP.
 */
export function environmentLayer(env: Environment): Layer & { readonly mistakes: readonly Mistake[] } {
  const names = Object.keys(env).filter((name) => name.startsWith('INSIGHTS_') && env[name]);
  if (names.length === 0) return { values: {}, mistakes: [], origin: () => undefined };
  const keys = environmentKeys();
  const known = [...keys.keys(), ...SPECIAL_VARIABLES];
  let values: Tree = {};
  const origins = new Map<string, string>();
  const mistakes: Mistake[] = [];
  for (const name of names) {
    const text = env[name] ?? '';
    const key = keys.get(name);
    if (key) {
      values = merge(values, nest(key.path, typed(text, key.type())));
      origins.set(key.path.join('.'), name);
      continue;
    }
    const similar = known.includes(name) ? undefined : closest(name, known);
    if (similar !== undefined)
      mistakes.push({
        text: `Unknown environment variable ${name}.`,
        hint: `Did you mean ${similar}? Rename it or unset it.`,
        where: { environment: name },
      });
  }
  return { values, mistakes, origin: (path) => named(origins, path, 'environment') };
}

/** Values from the command line; `flags` maps each key to its flag, for messages. */
export function flagLayer(values: Tree, flags: Readonly<Record<string, string>>): Layer {
  return { values, origin: (path) => named(new Map(Object.entries(flags)), path, 'flag') };
}

function named(origins: ReadonlyMap<string, string>, path: Path, kind: string): Record<string, string> | undefined {
  const origin = origins.get(path.join('.'));
  return origin === undefined ? undefined : { [kind]: origin };
}

/** Text that is not a number or boolean stays text; the schema then reports it. */
function typed(text: string, type: unknown): unknown {
  if ((type === 'number' || type === 'integer') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

export function nest(path: readonly string[], value: unknown): Tree {
  const [first = '', ...rest] = path;
  return { [first]: rest.length === 0 ? value : nest(rest, value) };
}

/** Objects are merged; any other value of the later tree replaces that of the earlier one. */
export function merge(earlier: Tree, later: Tree): Tree {
  const merged: Record<string, unknown> = { ...earlier };
  for (const [key, value] of Object.entries(later)) {
    const before = merged[key];
    merged[key] = isJsonObject(before) && isJsonObject(value) ? merge(before, value) : value;
  }
  return merged;
}
