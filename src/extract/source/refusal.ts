/** Errors for calls that were given up: what, where, and what to do next. They never contain a row, a key or an id. */
import { AuthError, SourceError } from '../../kernel/errors.ts';
import type { InsightsError } from '../../kernel/errors.ts';
import { isJsonObject, parseJson } from '../../kernel/json.ts';
import { isHtml } from './network-reason.ts';
import type { SourceAddress } from './network-reason.ts';
import type { Decision, Trouble } from './retry.ts';

export interface Place {
  readonly tenant: string;
  readonly attempts: number;
  readonly at: SourceAddress;
}

const LONGEST_DETAIL = 200;

/** The error that stops a table or a tenant. */
export function refusal(decision: Decision & { readonly why: string }, trouble: Trouble, place: Place): InsightsError {
  const where = {
    tenant: place.tenant,
    ...place.at,
    ...(trouble.kind === 'status' ? { status: trouble.status } : {}),
  };
  switch (decision.why) {
    case 'key':
      return new AuthError(`The source rejected the key of tenant "${place.tenant}" (401).`, {
        hint: 'Check that the key is complete, has not been revoked, and belongs to this tenant and environment.',
        where,
      });
    case 'scope':
      return forbidden(trouble, place.tenant, where);
    case 'tenant':
      return new AuthError(`The source does not know tenant "${place.tenant}" (404).`, {
        hint: 'Check the tenant id and the base URL.',
        where,
      });
    case 'spent':
      return new SourceError(`The source gave no usable answer in ${place.attempts} calls: ${describe(trouble)}.`, {
        hint: 'Run again later; downloaded pages are kept. If the error persists, ask the vendor about the state of the service.',
        where,
        reason: 'spent',
      });
    case 'edge':
      return new SourceError(`A web page came instead of an answer of the Insights API: ${describe(trouble)}.`, {
        hint: 'A firewall, a proxy or another server sent it, so it says nothing about the key or the tenant. Check the base URL and the proxy, then ask whoever runs the network, or the vendor, to let this machine through.',
        where,
        reason: 'edge',
      });
    case 'certificate':
      return new SourceError(`The certificate of the source cannot be verified: ${describe(trouble)}.`, {
        hint: 'Check the base URL. If you use your own certificate authority, put the path of its certificate in NODE_EXTRA_CA_CERTS.',
        where,
        reason: 'certificate',
      });
    case 'unexpected':
      return new SourceError(`The answer of the source cannot be understood: ${describe(trouble)}.`, {
        hint:
          (trouble.kind === 'unexpected' ? trouble.hint : undefined) ??
          'Run `insights-etl doctor`, and check that the base URL is that of the Insights API.',
        where,
        reason: 'unexpected',
      });
    case 'unusable':
      return new SourceError(`The source gave no usable answer: ${describe(trouble)}.`, {
        hint: 'Run again later. If the error persists, check the base URL with `insights-etl doctor`, and ask the vendor what the answer means.',
        where,
        reason: 'unusable',
      });
    default:
      return new SourceError(`The source rejected the query: ${describe(trouble)}.`, {
        hint: 'Run `insights-etl doctor` to see what the source supports.',
        where,
        reason: 'refused',
      });
  }
}

/** A 403: the answer says why, if it says anything. */
function forbidden(trouble: Trouble, tenant: string, where: Readonly<Record<string, string | number>>): AuthError {
  const said = trouble.kind === 'status' ? trouble.text : '';
  const [ofOther, ofScope] = [OTHER_TENANT.test(said), /\bscopes?\b|Insights[.:]Read/i.test(said)];
  const scope = 'Give the key the scope for reading insights, named Insights.Read or Insights:Read.';
  const own = `Use the key of tenant "${tenant}", or correct the tenant id.`;
  if (ofOther) return new AuthError(`The key does not belong to tenant "${tenant}" (403).`, { hint: own, where });
  if (ofScope) return new AuthError(`The key of tenant "${tenant}" lacks a scope (403).`, { hint: scope, where });
  return new AuthError(`The key of tenant "${tenant}" lacks a scope, or belongs to another tenant (403).`, {
    hint: `${scope} Otherwise use the key of this tenant.`,
    where,
  });
}

const OTHER_TENANT =
  /\b(?:another|other|different|wrong) tenant|\btenant\b.{0,40}\b(?:mismatch|does not match)|\bnot (?:belong|valid|authori[sz]ed|allowed|permitted)\b.{0,20}\b(?:to|for) (?:this |the )?tenant/i;

/** The error for a query that cannot be made smaller and still timed out. `what`: the query, as in `did not ${what} in time`. */
export function timedOut(what: string, where: Readonly<Record<string, string>>): SourceError {
  return new SourceError(`The source did not ${what} in time: its calls timed out.`, { ...TIMEOUT_ADVICE, where });
}

/** A source that stalls recovers or is repaired. It is not due to what is loaded, so the hint names no such setting. */
export const TIMEOUT_ADVICE = {
  hint: 'Run again later; downloaded pages are kept. If calls keep timing out, ask the vendor about the state of the service, or raise http.timeoutSeconds.',
  reason: 'timeout',
} as const;

/** One line about what went wrong. */
export function describe(trouble: Trouble): string {
  switch (trouble.kind) {
    case 'status':
      return [`status ${trouble.status}`, detailOf(trouble.text)].filter(Boolean).join(', ');
    case 'engine':
      return ['the answer reports a failure', detailOf(trouble.text)].filter(Boolean).join(', ');
    case 'timeout':
      return 'no response in time';
    case 'oversized':
      return 'the body is larger than allowed';
    case 'broken':
    case 'certificate':
    case 'unexpected':
      break;
  }
  return trouble.reason.replace(/\.$/, '');
}

/**
 * What the source says about the failure, if it uses a known form: the title and detail of a problem, or an engine
 * message with its code. Any other text might contain anything, so only its kind is named.
 */
function detailOf(text: string): string {
  const value = parseJson(text);
  if (isJsonObject(value)) {
    const said = ['title', 'detail', 'message'].map((key) => value[key]).filter((part) => typeof part === 'string');
    if (said.length > 0) return shorten(said.join(': '));
    const engine = engineText(value);
    if (engine !== undefined) return shorten(engine);
    return `JSON with the keys ${shorten(Object.keys(value).join(', '))}`;
  }
  if (isHtml(text)) return 'an HTML page';
  return text.trim() === '' ? '' : 'text that is not JSON';
}

/** The engine's own message, found inside `error`, `OneApiErrors` or `Exceptions`. */
function engineText(value: unknown): string | undefined {
  if (typeof value === 'string') return /^[A-Z]|80DA|E_[A-Z]/.test(value) ? value : undefined;
  if (Array.isArray(value)) return value.map(engineText).find((text) => text !== undefined);
  if (!isJsonObject(value)) return undefined;
  const inner = [
    '@message',
    'message',
    'code',
    'error',
    'errors',
    'OneApiErrors',
    'Exceptions',
    'exceptions',
    'status',
  ];
  return inner.map((key) => engineText(value[key])).find((text) => text !== undefined);
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > LONGEST_DETAIL ? `${line.slice(0, LONGEST_DETAIL)}…` : line;
}
