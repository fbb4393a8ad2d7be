/** Privacy rules: what of `properties` must not be stored as the source has it. Applied before anything reaches the lake. */
import { globRegExp } from '../kernel/glob.ts';
import { createHash } from 'node:crypto';
import { parseJsonPath } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';

export const PRIVACY_ACTIONS = ['drop', 'hash', 'mask'] as const;
export type PrivacyAction = (typeof PRIVACY_ACTIONS)[number];

export interface PrivacyRule {
  readonly action: PrivacyAction;
  /** Types of events, logs or metrics, `*` for any run of characters; compared without case and with '.' as ':'. undefined = all. */
  readonly types: readonly string[] | undefined;
  /** Paths into `properties` (`json-path.ts`), stars allowed. */
  readonly paths: readonly string[];
}

/** Keys of `properties` that the source itself leaves out, as `bag_remove_keys` names them: plain ones, or `$.a.b`. */
export interface SourceDrop {
  /** As in a rule. */
  readonly types: readonly string[] | undefined;
  readonly keys: readonly string[];
}

/** What hashed values begin with: a value that bears it is not hashed or masked a second time when files are written anew. */
export const HASH_MARK = 'hmac:';

/** A table's rules as one short text: files that bear it were written under just these; undefined when there are none. */
export function privacyKey(rules: readonly PrivacyRule[]): string | undefined {
  if (rules.length === 0) return undefined;
  const parts = rules.map(({ action, types, paths }) => [action, types ?? null, paths]);
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** True for a path that a rule speaks of: its own, or what it is a part of. */
export function isCovered(rules: readonly PrivacyRule[], type: string, path: readonly PathSegment[]): boolean {
  const spelt = spellType(type);
  return rules.some(({ types, paths }) => {
    if (types !== undefined && !types.some((glob) => globRegExp(spellType(glob)).test(spelt))) return false;
    return paths.some((text) => {
      const ruled = parseJsonPath(text) ?? [];
      return ruled.length > 0 && ruled.length <= path.length && ruled.every((segment, at) => hits(segment, path[at]));
    });
  });
}

function hits(rule: PathSegment, segment: PathSegment | undefined): boolean {
  // The members of a list are meant by a star alone.
  if (segment?.isPattern === true) return rule.isPattern && /^\*+$/.test(rule.text);
  return rule.isPattern ? globRegExp(rule.text).test(segment?.text ?? '') : rule.text === segment?.text;
}

function spellType(type: string): string {
  return type.toLowerCase().replaceAll('.', ':');
}

/** The two padded keys of HMAC-SHA-256 (RFC 2104), as hex: hash(outer ‖ hash(inner ‖ text)). */
export function hmacPads(key: string): { readonly inner: string; readonly outer: string } {
  const bytes = Buffer.from(key, 'utf8');
  const block = Buffer.alloc(64);
  (bytes.length > 64 ? createHash('sha256').update(bytes).digest() : bytes).copy(block);
  const pad = (value: number): string => Buffer.from(block.map((byte) => byte ^ value)).toString('hex');
  return { inner: pad(0x36), outer: pad(0x5c) };
}
