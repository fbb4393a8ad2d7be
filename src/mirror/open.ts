/** Opens the store of a mirror. Only the client of its kind is loaded. */
import type { Files } from '../kernel/files.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { showMirrorPlace } from '../model/mirror-address.ts';
import type { MirrorAddress, MirrorPlace } from '../model/mirror-address.ts';
import { accountUrl } from './azure-account.ts';
import type { AzureEnvironment } from './azure-account.ts';
import { openFolder } from './folder.ts';
import type { ObjectStore } from './object-store.ts';

export interface StoreSettings {
  readonly place: MirrorPlace;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  readonly parallel: number;
  readonly azure: () => AzureEnvironment;
}

const GOOGLE = { endpoint: 'https://storage.googleapis.com', region: 'auto', pathStyle: true } as const;

/** The address and the endpoint of a mirror. Together they identify it: two stores may each have a bucket of the same name. */
export function mirrorAddress(settings: StoreSettings): MirrorAddress {
  const to = showMirrorPlace(settings.place);
  const url = urlOfStore(settings);
  return url === undefined ? { to } : { to, endpoint: comparable(url) };
}

function urlOfStore({ place, endpoint, region, azure }: StoreSettings): string | undefined {
  if (place.kind === 'folder') return undefined;
  if (place.kind === 'az') return accountUrl(endpoint, azure());
  return endpoint ?? (place.kind === 'gs' ? GOOGLE.endpoint : amazonUrl(region));
}

function amazonUrl(region = 'us-east-1'): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}

/** Without a key or token, and the same for each way to write one address. */
function comparable(text: string): string {
  if (!URL.canParse(text)) return text;
  const { origin, pathname } = new URL(text);
  return `${origin}${pathname.replace(/\/+$/, '')}`;
}

export async function openStore(
  { place, endpoint, region, pathStyle, parallel, azure }: StoreSettings,
  runtime: Runtime,
  files: Files,
  signal: AbortSignal,
): Promise<ObjectStore> {
  if (place.kind === 'folder') return openFolder(place.path, files, signal);
  const { bucket, prefix } = place;
  const shared = { place: showMirrorPlace(place), prefix, parallel };
  if (place.kind === 'az') {
    const { openAzure } = await import('./azure.ts');
    return openAzure({ ...shared, container: bucket, endpoint, environment: azure() }, runtime, signal);
  }
  const { openS3 } = await import('./s3.ts');
  const own = place.kind === 'gs' && (endpoint ?? GOOGLE.endpoint) === GOOGLE.endpoint ? { ...GOOGLE, region: region ?? GOOGLE.region } : { endpoint, region, pathStyle }; // oxfmt-ignore
  return openS3({ ...shared, bucket, ...own }, runtime, signal);
}
