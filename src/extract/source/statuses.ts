/** What the HTTP status of an answer means. This is the only place that decides it. */

/**
 * answer: the body holds rows, or a failure of the engine. key, scope, tenant: the tenant cannot be loaded. throttled: all calls of
 * the tenant wait. oversized, timeout: request fewer rows per call. retry: the same request may succeed later. failure: not an answer to the
 * query and no reason to expect one soon, so the table fails and the next run tries again.
 */
export type StatusMeaning =
  | 'answer'
  | 'key'
  | 'scope'
  | 'tenant'
  | 'throttled'
  | 'oversized'
  | 'timeout'
  | 'retry'
  | 'failure';

/** By the first digit, for every status that STATUSES does not list. An unknown 5xx is handled like 500, as RFC 9110 says. */
const CLASSES: readonly StatusMeaning[] = ['failure', 'failure', 'failure', 'failure', 'failure', 'retry'];

const STATUSES: ReadonlyMap<number, StatusMeaning> = new Map<number, StatusMeaning>([
  [200, 'answer'],
  // Some frameworks answer every POST with 201.
  [201, 'answer'],
  // A proxy has changed something, for example the compression.
  [203, 'answer'],
  [401, 'key'],
  [403, 'scope'],
  [404, 'tenant'],
  [408, 'retry'],
  [413, 'oversized'],
  // The request reached the wrong server, or too early: both tell the client to send it again.
  [421, 'retry'],
  [425, 'retry'],
  [429, 'throttled'],
  // A proxy gave up on the call.
  [499, 'retry'],
  // Not implemented, HTTP version, negotiation, loop, extensions, network login: these do not pass with time.
  [501, 'failure'],
  [504, 'timeout'],
  [505, 'failure'],
  [506, 'failure'],
  [508, 'failure'],
  [510, 'failure'],
  [511, 'failure'],
  // Cloudflare: its connection to the service failed. They are listed because they are common, not because they differ from 500.
  ...[520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530].map((status): [number, StatusMeaning] => [
    status,
    'retry',
  ]),
  // Proxies: reading from or connecting to the service took too long.
  [598, 'retry'],
  [599, 'retry'],
]);

export function meaningOf(status: number): StatusMeaning {
  return STATUSES.get(status) ?? CLASSES[Math.floor(status / 100)] ?? 'failure';
}
