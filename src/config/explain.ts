/** Explains a refused value: key, value (never a secret), what is allowed, and where it was written. */
import type { z } from 'zod';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { isJsonObject } from '../kernel/json.ts';
import { didYouMeanInstant } from '../kernel/instant.ts';
import { didYouMeanZone } from '../kernel/zone.ts';
import { configKeys } from './names.ts';

import { CONFIG_VERSION } from './schema.ts';
import { INSTANT_FORM, ZONE_FORM } from './texts.ts';
import type { Layer, Path, Tree } from './layers.ts';

/** One thing that is wrong. */
export interface Mistake {
  readonly text: string;
  readonly hint: string;
  readonly where: Readonly<Record<string, string | number>>;
}

/** Mistakes listed in one error. */
const MOST_SHOWN = 20;

/** The error for one or more mistakes: each one with its line, file or flag. */
export function refusal(mistakes: readonly Mistake[], file: string | undefined): ConfigError {
  const [first, second] = mistakes;
  if (!first) return new ConfigError('The configuration was refused.');
  if (!second) return new ConfigError(first.text, { hint: first.hint, where: first.where });
  const lineOf = ({ where }: Mistake): number => Number(where['line'] ?? Infinity);
  const lines = mistakes
    .toSorted((a, b) => (lineOf(a) === lineOf(b) ? 0 : lineOf(a) - lineOf(b)))
    .slice(0, MOST_SHOWN)
    .map(({ text, hint, where }) => {
      const place = Object.entries(where).filter(([kind]) => kind !== 'file');
      const at = place.map(([kind, value]) => `${kind} ${value}: `);
      return `  ${at.join('')}${text} ${hint}`;
    });
  if (mistakes.length > MOST_SHOWN) lines.push(`  … and ${mistakes.length - MOST_SHOWN} more`);
  return new ConfigError(`The configuration has ${mistakes.length} mistakes.\n${lines.join('\n')}`, {
    hint: 'Correct them. `insights-etl config check` checks the configuration and does nothing else.',
    where: file === undefined ? {} : { file },
  });
}

/**
 * Parses the values. A refused value keeps zod from checking what depends on it, such as whether ids are unique, so the values are
 * parsed again without it until nothing new is refused.
 */
export function mistakesIn<S>(
  schema: z.ZodType<S>,
  values: Tree,
  layers: readonly Layer[],
): { readonly settings: S | undefined; readonly mistakes: readonly Mistake[] } {
  const found: { readonly path: Path; readonly mistake: Mistake }[] = [];
  const removed: Path[] = [];
  const rest = structuredClone(values);
  for (;;) {
    const parsed = schema.safeParse(rest);
    if (parsed.success) return { settings: found.length === 0 ? parsed.data : undefined, mistakes: listed(found) };
    const fresh = parsed.error.issues
      .flatMap(single)
      .filter(({ path }) => !removed.some((before) => before.every((name, index) => name === path[index])))
      // A text may break two rules at once; the first says what is allowed.
      .filter(({ path }, index, all) => all.findIndex((other) => spell(other.path) === spell(path)) === index);
    if (fresh.length === 0) return { settings: undefined, mistakes: listed(found) };
    for (const issue of fresh) {
      const { text, hint } = explain(issue, values);
      found.push({ path: issue.path, mistake: { text, hint, where: originOf(issue.path, layers) } });
      removed.push(remove(rest, issue.path));
    }
  }
}

/** A file of a newer version has unknown keys; its version number explains them. */
function listed(found: readonly { readonly path: Path; readonly mistake: Mistake }[]): Mistake[] {
  const ofVersion = found.filter(({ path }) => path[0] === 'version');
  return (ofVersion.length > 0 ? ofVersion : found).map(({ mistake }) => mistake);
}

type Issue = z.core.$ZodIssue & { readonly path: PropertyKey[] };

/** One issue for each unknown key. */
function single(issue: z.core.$ZodIssue): Issue[] {
  if (issue.code !== 'unrecognized_keys') return [issue];
  return issue.keys.map((key) => ({ ...issue, keys: [key], path: [...issue.path, key] }));
}

/** Deletes the refused value, or what contains it where it is missing or an item of a list. Returns the path of what is gone. */
function remove(values: Tree, path: Path): Path {
  for (let length = path.length; length > 0; length--) {
    const parent = valueAt(values, path.slice(0, length - 1));
    const name = path[length - 1];
    if (!isJsonObject(parent) || name === undefined || !(name in parent)) continue;
    Reflect.deleteProperty(parent, name);
    return path.slice(0, length);
  }
  return path;
}

function explain(issue: Issue, values: Tree): { text: string; hint: string } {
  if (issue.code === 'unrecognized_keys') {
    const allowed = allowedKeys(issue.path.slice(0, -1));
    return {
      text: `Unknown key "${spell(issue.path)}".`,
      hint: `${didYouMean(issue.keys[0] ?? '', allowed)}Allowed here: ${allowed.join(', ')}.`,
    };
  }
  const key = spell(issue.path);
  const value = valueAt(values, issue.path);
  if (key === 'version' && typeof value === 'number' && value > CONFIG_VERSION)
    return {
      text: `The configuration has version ${value}, but this program only knows version ${CONFIG_VERSION}.`,
      hint: 'Install the version of insights-etl that the file was written for, or a newer one.',
    };
  const allowed = allowedText(issue, key).replace(/\.$/, '');
  if (value === undefined) return { text: `"${key}" is missing.`, hint: `Add "${key}": ${allowed}.` };
  const shown = isSecret(issue.path, value) ? '' : ` ${show(value)}`;
  return {
    text: `"${key}" cannot be${shown === '' ? ' used as given' : shown}.`,
    hint: `${shown === '' || typeof value !== 'string' ? '' : suggestion(issue, value)}Allowed: ${allowed}.`,
  };
}

function suggestion(issue: z.core.$ZodIssue, value: string): string {
  if (issue.code === 'invalid_value') return didYouMean(value, issue.values.map(String));
  if (issue.message === ZONE_FORM) return didYouMeanZone(value);
  return issue.message === INSTANT_FORM ? didYouMeanInstant(value) : '';
}

function allowedText(issue: z.core.$ZodIssue, key: string): string {
  if (issue.code === 'invalid_type') {
    if (/^tenants\[\d+\]\.(apiKey|token)$/.test(key))
      return 'exactly one of {env: NAME}, {file: PATH}, {command: COMMAND}, never the key itself';
    const name = { int: 'whole number', object: 'group of keys', array: 'list', boolean: 'true or false' }[
      issue.expected as string
    ];
    return name === undefined ? `a ${issue.expected}` : /^[aeiou]|true/.test(name) ? name : `a ${name}`;
  }
  if (issue.code === 'too_small') return issue.origin === 'number' || issue.origin === 'int' ? range(key) : 'not empty';
  if (issue.code === 'too_big')
    return issue.origin === 'number' || issue.origin === 'int'
      ? range(key)
      : `at most ${String(issue.maximum)} characters`;
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`;
  return issue.message;
}

/** Both bounds of a number. */
function range(key: string): string {
  const found = configKeys().find((candidate) => candidate.path.join('.') === key.replaceAll(/\[\d+\]/g, '[]'));
  if (found?.most !== undefined) return `${found.least ?? 0} to ${found.most}`;
  return `${found?.least ?? 0} or more`;
}

function allowedKeys(path: Path): string[] {
  const prefix = path.reduce<string[]>((parts, name) => {
    if (typeof name === 'number') parts.push(`${parts.pop() ?? ''}[]`);
    else parts.push(String(name));
    return parts;
  }, []);
  const inside = configKeys().filter((key) => prefix.every((name, index) => key.path[index] === name));
  return [...new Set(inside.map((key) => (key.path[prefix.length] ?? '').replace('[]', '')))].filter(
    (name) => name !== '',
  );
}

export function spell(path: Path): string {
  return path
    .map((name, index) => (typeof name === 'number' ? `[${name}]` : `${index > 0 ? '.' : ''}${String(name)}`))
    .join('');
}

/** The message must not repeat a key that was pasted in place of its source, or a URL with a password. */
function isSecret(path: Path, value: unknown): boolean {
  if (path.includes('apiKey') || path.includes('token') || (path[0] === 'privacy' && path[1] === 'key')) return true;
  return typeof value === 'string' && /\/\/[^/]*@|[?#]/.test(value);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

export function valueAt(values: Tree, path: Path): unknown {
  let value: unknown = values;
  for (const name of path) {
    if (Array.isArray(value)) value = (value as unknown[])[Number(name)];
    else value = isJsonObject(value) ? value[String(name)] : undefined;
  }
  return value;
}

/** The origin of a value: the strongest layer that has it, otherwise the file. */
export function originOf(path: Path, layers: readonly Layer[]): Readonly<Record<string, string | number>> {
  for (const layer of [...layers].reverse()) {
    const origin = layer.origin(path);
    if (origin) return origin;
  }
  return {};
}
