/** Explains a refused value: key, value (never a secret), what is allowed, and where it was written. */
import type { z } from 'zod';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { isJsonObject } from '../kernel/json.ts';
import { configKeys } from './names.ts';

import { CONFIG_VERSION } from './schema.ts';
import type { Layer, Path, Tree } from './layers.ts';

/** An error for the first issue that also says how many more there are. */
export function explainIssues(
  issues: readonly z.core.$ZodIssue[],
  values: Tree,
  layers: readonly Layer[],
): ConfigError {
  // A file of a newer version has unknown keys; its version number explains them.
  const issue = issues.find(({ path }) => path[0] === 'version') ?? issues[0];
  if (!issue) return new ConfigError('The configuration was refused.');
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const { path, text, hint } = explain(issue, values);
  return new ConfigError(`${text}${more}`, { hint, where: originOf(path, layers) });
}

function explain(issue: z.core.$ZodIssue, values: Tree): { path: Path; text: string; hint: string } {
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const path = [...issue.path, key];
    const allowed = allowedKeys(issue.path);
    return {
      path,
      text: `Unknown key "${spell(path)}".`,
      hint: `${didYouMean(key, allowed)}Allowed here: ${allowed.join(', ')}.`,
    };
  }
  const key = spell(issue.path);
  const value = valueAt(values, issue.path);
  if (key === 'version' && typeof value === 'number' && value > CONFIG_VERSION)
    return {
      path: issue.path,
      text: `The configuration has version ${value}, but this program only knows version ${CONFIG_VERSION}.`,
      hint: 'Install the version of insights-etl that the file was written for, or a newer one.',
    };
  const allowed = allowedText(issue, key);
  if (value === undefined) return { path: issue.path, text: `"${key}" is missing.`, hint: `Add "${key}": ${allowed}.` };
  const shown = isSecret(issue.path, value) ? '' : ` ${show(value)}`;
  return {
    path: issue.path,
    text: `"${key}" cannot be${shown === '' ? ' used as given' : shown}.`,
    hint: `Allowed: ${allowed}.`,
  };
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

function spell(path: Path): string {
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

function valueAt(values: Tree, path: Path): unknown {
  let value: unknown = values;
  for (const name of path) {
    if (Array.isArray(value)) value = (value as unknown[])[Number(name)];
    else value = isJsonObject(value) ? value[String(name)] : undefined;
  }
  return value;
}

/** The origin of a value: the strongest layer that has it, otherwise the file. */
function originOf(path: Path, layers: readonly Layer[]): Readonly<Record<string, string | number>> {
  for (const layer of [...layers].reverse()) {
    const origin = layer.origin(path);
    if (origin) return origin;
  }
  return {};
}
