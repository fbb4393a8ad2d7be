/** Which storage account of Azure a mirror is in. */

export interface AzureEnvironment {
  readonly connection?: string;
  readonly account?: string;
  readonly key?: string;
}

/** The account of the emulator, which a connection string can name in short. */
const EMULATOR = 'http://127.0.0.1:10000/devstoreaccount1';

/** The address of the account: a connection string has it, too, and goes first. Undefined: nothing says which account it is. */
export function accountUrl(
  endpoint: string | undefined,
  { connection, account }: AzureEnvironment,
): string | undefined {
  const connected = connection === undefined ? undefined : urlOfConnection(connection);
  return connected ?? endpoint ?? (account === undefined ? undefined : `https://${account}.blob.core.windows.net`);
}

/** Takes nothing else out of the text, which has the key. */
function urlOfConnection(connection: string): string | undefined {
  const parts = new Map<string, string>();
  for (const part of connection.split(';')) {
    const at = part.indexOf('=');
    if (at > 0) parts.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  if (parts.get('usedevelopmentstorage') === 'true') return EMULATOR;
  const [url, name] = [parts.get('blobendpoint'), parts.get('accountname')];
  if (url !== undefined || name === undefined) return url;
  return `${parts.get('defaultendpointsprotocol') ?? 'https'}://${name}.blob.${parts.get('endpointsuffix') ?? 'core.windows.net'}`;
}
