/** Privacy rules: which parts of `properties` are dropped, hashed or masked before anything reaches the lake. */
import { globRegExp } from '../kernel/glob.ts';
import { createHash } from 'node:crypto';
import { parseJsonPath } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import { commonType } from './type-spelling.ts';

/** In the order in which they are applied: what is dropped need not be hashed, and what is hashed is not masked. */
export const PRIVACY_ACTIONS = ['drop', 'hash', 'mask'] as const;
export type PrivacyAction = (typeof PRIVACY_ACTIONS)[number];

export interface PrivacyRule {
  readonly action: PrivacyAction;
  /** Types of events, logs or metrics, with `*` for any characters; case is ignored and '.' equals ':'. undefined = all. */
  readonly types: readonly string[] | undefined;
  /** Paths into `properties` (`json-path.ts`); patterns are allowed. */
  readonly paths: readonly string[];
}

/** Keys of `properties` that the source removes, as `bag_remove_keys` names them: plain names, or `$.a.b`. */
export interface SourceDrop {
  /** As in `PrivacyRule`. */
  readonly types: readonly string[] | undefined;
  readonly keys: readonly string[];
}

/** The prefix of hashed values: it keeps them from being hashed or masked again when files are rewritten. */
export const HASH_MARK = 'hmac:';

/** A digest of a table's rules, kept with each file to tell which rules it was written with; undefined without rules. */
export function privacyKey(rules: readonly PrivacyRule[]): string | undefined {
  if (rules.length === 0) return undefined;
  const parts = rules.map(({ action, types, paths }) => [action, types ?? null, paths]);
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** True for a path that a rule covers: the rule names the path itself, or an object or list that contains it. */
export function isCovered(rules: readonly PrivacyRule[], type: string, path: readonly PathSegment[]): boolean {
  const common = commonType(type);
  return rules.some(({ types, paths }) => {
    if (types !== undefined && !types.some((glob) => globRegExp(commonType(glob)).test(common))) return false;
    return paths.some((text) => {
      const ruled = parseJsonPath(text) ?? [];
      return (
        ruled.length > 0 && ruled.length <= path.length && ruled.every((segment, index) => covers(segment, path[index]))
      );
    });
  });
}

function covers(rule: PathSegment, segment: PathSegment | undefined): boolean {
  // Only a star covers the members of a list.
  if (segment?.isPattern === true) return rule.isPattern && /^\*+$/.test(rule.text);
  return rule.isPattern ? globRegExp(rule.text).test(segment?.text ?? '') : rule.text === segment?.text;
}

/** The two padded keys of HMAC-SHA-256 (RFC 2104), as hex: hash(outer ‖ hash(inner ‖ text)). */
export function hmacPads(key: string): { readonly inner: string; readonly outer: string } {
  const bytes = Buffer.from(key, 'utf8');
  const block = Buffer.alloc(64);
  (bytes.length > 64 ? createHash('sha256').update(bytes).digest() : bytes).copy(block);
  const pad = (value: number): string => Buffer.from(block.map((byte) => byte ^ value)).toString('hex');
  return { inner: pad(0x36), outer: pad(0x5c) };
}
