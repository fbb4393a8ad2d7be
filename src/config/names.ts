/** The keys of the configuration as a flat list, with path, type, bounds and environment variable. */
import { z } from 'zod';
import { acceptMirrorText } from './mirror.ts';
import { configSchema } from './schema.ts';

export interface Key {
  /** `page.maxRows`, or `tenants[].id` inside a list. */
  readonly path: readonly string[];
  readonly type: string;
  readonly description: string;
  readonly fallback: unknown;
  readonly least: number | undefined;
  readonly most: number | undefined;
  /** Undefined for lists and keys inside of lists. */
  readonly env: string | undefined;
}

interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

/** Variables that are not keys: they name the file, or define one tenant without a file. */
export const SPECIAL_VARIABLES = ['INSIGHTS_CONFIG', 'INSIGHTS_TENANT', 'INSIGHTS_API_KEY', 'INSIGHTS_TOKEN'] as const;

/** The JSON Schema of the configuration file. */
export function configJsonSchema(): Record<string, unknown> {
  const title = 'insights-etl configuration';
  return { title, ...acceptMirrorText(plainSchema()) };
}

function plainSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(configSchema, { io: 'input' }) };
}

/** A key that a variable of the environment may set. */
export interface EnvironmentKey {
  readonly path: readonly string[];
  /** Of its JSON Schema. */
  readonly type: () => unknown;
}

/**
 * The keys that variables may set, by variable. Every command needs them, and the JSON Schema of the whole configuration takes longer
 * to make than anything else that a command does before its work.
 */
export function environmentKeys(): Map<string, EnvironmentKey> {
  return new Map(settable(configSchema, []));
}

function settable(schema: z.core.$ZodType, path: readonly string[]): [string, EnvironmentKey][] {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodObject)
    return Object.entries(inner.shape).flatMap(([name, child]) => settable(child, [...path, name]));
  if (inner instanceof z.ZodArray) return [];
  return [[environmentName(path), { path, type: () => z.toJSONSchema(schema, { io: 'input' }).type }]];
}

/** A schema without its default and the like. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapper =
    schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault || schema instanceof z.ZodOptional;
  return isWrapper ? unwrapped(schema.unwrap()) : schema;
}

/** Every value and list of the configuration, in the order of the schema. */
export function configKeys(): Key[] {
  return walk(plainSchema(), []);
}

function walk(node: Node, path: readonly string[]): Key[] {
  if (node.properties) return Object.entries(node.properties).flatMap(([name, child]) => walk(child, [...path, name]));
  if (node.items?.properties) {
    const inner = [...path.slice(0, -1), `${path.at(-1)}[]`];
    return [key(node, path), ...walk(node.items, inner)];
  }
  return [key(node, path)];
}

function key(node: Node, path: readonly string[]): Key {
  const single = node.type !== 'array' && !path.some((name) => name.endsWith('[]'));
  return {
    path,
    type:
      node.type === 'array'
        ? `list of ${node.items?.enum?.join(', ') ?? node.items?.type ?? 'values'}`
        : (node.type ?? 'string'),
    description: node.description ?? '',
    fallback: node.default,
    least: node.minimum,
    // The largest safe integer is zod's bound for integers without one.
    most: node.maximum === Number.MAX_SAFE_INTEGER ? undefined : node.maximum,
    env: single ? environmentName(path) : undefined,
  };
}

function environmentName(path: readonly string[]): string {
  return `INSIGHTS_${path.map((name) => name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()).join('_')}`;
}
