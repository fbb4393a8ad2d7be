/** A refused value in words: which key, which value (never a secret's), what is allowed, where it was written. */
import type { z } from 'zod';
import { closest } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { isJsonObject } from '../kernel/json.ts';
import { configKeys } from './names.ts';
import { RENAMED } from './renamed.ts';
import { CONFIG_VERSION } from './schema.ts';
import type { Layer, Path, Tree } from './layers.ts';

/** The first refusal as an error; how many more there are is said, since each run of the program shows one. */
export function explainIssues(
  issues: readonly z.core.$ZodIssue[],
  values: Tree,
  layers: readonly Layer[],
  renamed: Readonly<Record<string, string>> = RENAMED,
): ConfigError {
  // A file of a newer version has keys that are unknown here; its number says why.
  const issue = issues.find(({ path }) => path[0] === 'version') ?? issues[0];
  if (!issue) return new ConfigError('The configuration was refused.');
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const { path, text, hint } = explain(issue, values, renamed);
  return new ConfigError(`${text}${more}`, { hint, where: originOf(path, layers) });
}

function explain(
  issue: z.core.$ZodIssue,
  values: Tree,
  renamed: Readonly<Record<string, string>>,
): { path: Path; text: string; hint: string } {
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const path = [...issue.path, key];
    const allowed = allowedKeys(issue.path);
    const now = renamed[spell(path).replaceAll(/\[\d+\]/g, '[]')];
    if (now !== undefined)
      return {
        path,
        text: `The key "${spell(path)}" has another name now.`,
        hint: `Write it as "${now}": docs/config.md says what it means.`,
      };
    const meant = closest(key, allowed);
    return {
      path,
      text: `Unknown key "${spell(path)}".`,
      hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}Allowed here: ${allowed.join(', ')}.`,
    };
  }
  const key = spell(issue.path);
  const value = valueAt(values, issue.path);
  if (key === 'version' && typeof value === 'number' && value > CONFIG_VERSION)
    return {
      path: issue.path,
      text: `The configuration is of version ${value}, and this program knows version ${CONFIG_VERSION}.`,
      hint: 'Install the version of the program that it was written for, or a newer one.',
    };
  const allowed = allowedText(issue, key);
  if (value === undefined)
    return { path: issue.path, text: `"${key}" is missing.`, hint: `Give "${key}": ${allowed}.` };
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

/** Bounds of a number, both of them, whichever was crossed. */
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

/** A key pasted where its place belongs, or a URL with a password in it, must not come back in the message. */
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

/** The strongest layer that speaks of the path; the file answers for whatever nobody else wrote. */
function originOf(path: Path, layers: readonly Layer[]): Readonly<Record<string, string | number>> {
  for (const layer of [...layers].reverse()) {
    const origin = layer.origin(path);
    if (origin) return origin;
  }
  return {};
}
