/** The fetch of this process. It says who calls, and goes through a proxy where the environment asks for one, as curl does. */
import { BlockList, isIP } from 'node:net';
import { ConfigError } from './errors.ts';
import { packageVersion } from './version.ts';

type Fetch = typeof globalThis.fetch;
type Environment = Readonly<Record<string, string | undefined>>;

export interface Network {
  readonly fetch: Fetch;
  /** The proxy for this URL, without its credentials; undefined = none. Throws ConfigError if the variable holds no usable address. */
  readonly proxyOf: (url: string) => string | undefined;
  /** The same with its credentials, for a client that does not use `fetch`. */
  readonly tunnelOf: (url: string) => string | undefined;
}

export function openNetwork(env: Environment): Network {
  const agent = `insights-etl/${packageVersion()} (node/${process.versions.node})`;
  const exceptions = (read(env, 'no_proxy')?.value ?? '').split(/[\s,]+/).filter(Boolean);
  const ways = new Map<string | undefined, ReturnType<typeof fetchBy>>();

  function proxyFor(target: URL): URL | undefined {
    const found = read(env, target.protocol === 'https:' ? 'https_proxy' : 'http_proxy');
    if (!found || isLocal(target) || exceptions.some((entry) => matches(entry, target))) return undefined;
    return proxyUrl(found);
  }

  return {
    async fetch(input, init) {
      const headers = new Headers(init?.headers);
      if (!headers.has('user-agent')) headers.set('user-agent', agent);
      const url = new URL(typeof input === 'object' && 'url' in input ? input.url : input);
      const proxy = proxyFor(url)?.href;
      let send = ways.get(proxy);
      if (!send) ways.set(proxy, (send = fetchBy(proxy)));
      return (await send)(url, { ...init, headers });
    },
    proxyOf: (url) => proxyFor(new URL(url))?.origin,
    tunnelOf: (url) => proxyFor(new URL(url))?.href,
  };
}

/**
 * The fetch of the package undici, with connections of its own. Node 20's own fetch cannot use a proxy. That of Node 24.19, which is undici
 * 7.29, ends the process with an AssertionError when a server closes the connection while its answer is still being read. undici 6.26 and
 * 7.26 to 7.30 do so too; 7.25 and 8.13 do not, and 8 does not run on Node 20.
 */
async function fetchBy(proxy: string | undefined): Promise<(url: URL, init: RequestInit) => Promise<Response>> {
  const { fetch, Agent, ProxyAgent } = await import('undici');
  // The caller has time limits of its own, which may be longer than these.
  const limits = { headersTimeout: 0, bodyTimeout: 0 };
  const dispatcher =
    proxy === undefined ? new Agent(limits) : new ProxyAgent({ ...limits, uri: proxy, proxyTunnel: false });
  return async (url, { body = null, headers = {}, ...init }) => {
    // The bodies that the program sends are texts and bytes, and its two fetches have different types for all others.
    if (body !== null && typeof body !== 'string' && !(body instanceof Uint8Array))
      throw new TypeError('a body that is neither text nor bytes');
    return fetch(url, { ...init, headers: [...new Headers(headers)], body, dispatcher });
  };
}

function read(env: Environment, name: string): { name: string; value: string } | undefined {
  for (const variable of [name, name.toUpperCase()]) {
    const value = env[variable]?.trim();
    if (value !== undefined && value !== '') return { name: variable, value };
  }
  return undefined;
}

function proxyUrl({ name, value }: { name: string; value: string }): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== '') return url;
  // The value may hold a password.
  throw new ConfigError(`The variable ${name} does not hold the address of an HTTP proxy.`, {
    hint: `Set it to an address such as http://proxy.example.com:3128, or list the host of the source in NO_PROXY.`,
    where: { key: name },
  });
}

/** This machine itself, which is never called through a proxy. */
export function isLocal({ hostname }: URL): boolean {
  return /^(?:(?:.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** An entry of NO_PROXY: `*`, a host with its subdomains, an address or a subnet; each with a port if only that port is meant. */
function matches(entry: string, { hostname, port, protocol }: URL): boolean {
  if (entry === '*') return true;
  const host = hostname.replace(/^\[|\]$/g, '');
  const [, address = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  if (bits !== undefined) return isInSubnet(host, address, Number(bits));
  const [, name = entry, only] = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry) ?? [];
  if (only !== undefined && only !== (port || (protocol === 'https:' ? '443' : '80'))) return false;
  const wanted = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '').toLowerCase();
  return host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`));
} // oxfmt-ignore

function isInSubnet(host: string, address: string, bits: number): boolean {
  const [family, other] = [isIP(host), isIP(address)];
  if (family === 0 || family !== other || bits > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const subnet = new BlockList();
  subnet.addSubnet(address, bits, type);
  return subnet.check(host, type);
}
