import type { IncomingHttpHeaders } from 'node:http';

export type Access =
  | { readonly kind: 'granted' }
  | { readonly kind: 'unauthenticated'; readonly why: string }
  | { readonly kind: 'forbidden'; readonly why: string }
  | { readonly kind: 'unknown-tenant' };

const KEY_PREFIX = 'sandbox-';
/** A suffix that makes another key for the same tenant, for testing rotation. */
const VERSION = /:\w+$/;
/** The suffix of a key that is valid but lacks the scope, for testing how a client explains a 403. */
const WITHOUT_SCOPE = '-noscope';

/**
 * Decides whether a request may query `tenant`. A credential belongs to one tenant: `sandbox-<tenant>`, sent as
 * `X-API-KEY` or as a bearer token. `sandbox-<tenant>:<version>` is another key of the same tenant, and
 * `sandbox-<tenant>-noscope` is a valid key without the scope.
 */
export function checkAccess(headers: IncomingHttpHeaders, tenant: string, tenants: readonly string[]): Access {
  const key = credentialOf(headers)?.replace(VERSION, '');
  if (key === undefined) return { kind: 'unauthenticated', why: 'no X-API-KEY header and no bearer token' };
  const owner =
    tenants.find((each) => key === KEY_PREFIX + each) ??
    tenants.find((each) => key === KEY_PREFIX + each + WITHOUT_SCOPE);
  if (owner === undefined) return { kind: 'unauthenticated', why: 'the credential is invalid or was revoked' };
  if (!tenants.includes(tenant)) return { kind: 'unknown-tenant' };
  if (owner !== tenant) return { kind: 'forbidden', why: 'the credential belongs to another tenant' };
  if (key !== KEY_PREFIX + owner) return { kind: 'forbidden', why: 'the credential lacks the scope Insights.Read' };
  return { kind: 'granted' };
}

/** The key or token of a request. */
export function credentialOf(headers: IncomingHttpHeaders): string | undefined {
  const key = headers['x-api-key'];
  if (typeof key === 'string' && key !== '') return key;
  return /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}
