/** Failures of the network in words: which host did what. Takes only codes, because messages of Node may quote a header. */

/** Where calls go, for messages: origins only. */
export interface SourceAddress {
  readonly address: string;
  readonly proxy?: string;
}

/** What the host did, by Node's code. */
const DONE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused the connection',
  ENOTFOUND: 'was not found by name',
  EAI_AGAIN: 'could not be looked up by name',
  ETIMEDOUT: 'did not accept the connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'did not accept the connection in time',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  UND_ERR_SOCKET: 'closed the connection',
};
/** These happen when a connection is opened, which with a proxy is one to the proxy. */
const WHILE_CONNECTING =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|EHOSTUNREACH|ENETUNREACH)$/;

/** `proxyStatus`: with which the proxy refused to connect to the source. */
export function networkReason(code: string, { address, proxy }: SourceAddress, proxyStatus?: number): string {
  if (proxy !== undefined && proxyStatus !== undefined) {
    const advice = proxyStatus === 407 ? ': it requires a user name and password' : '';
    return `the proxy ${proxy} did not connect to ${address} (status ${proxyStatus})${advice}`;
  }
  const did = DONE[code];
  if (proxy !== undefined && did !== undefined && WHILE_CONNECTING.test(code))
    return `the proxy ${proxy} ${did} (${code})`;
  const through = proxy === undefined ? '' : ` through the proxy ${proxy}`;
  return did === undefined ? `${code} while calling ${address}${through}` : `${address}${through} ${did} (${code})`;
}

export function isHtml(text: string): boolean {
  return /^\s*(?:<!doctype|<html)/i.test(text);
}
