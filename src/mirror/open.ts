/** Opens the store of a mirror. Only the client of its kind is loaded. */
import type { Files } from '../kernel/files.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { showMirrorPlace } from '../model/mirror-address.ts';
import type { MirrorPlace } from '../model/mirror-address.ts';
import type { AzureOptions } from './azure.ts';
import { openFolder } from './folder.ts';
import type { ObjectStore } from './object-store.ts';

export interface StoreSettings {
  readonly place: MirrorPlace;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  readonly parallel: number;
  readonly azure: () => AzureOptions['environment'];
}

const GOOGLE = { endpoint: 'https://storage.googleapis.com', region: 'auto', pathStyle: true } as const;

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
  const own = place.kind === 'gs' && endpoint === undefined ? { ...GOOGLE, region: region ?? GOOGLE.region } : { endpoint, region, pathStyle }; // oxfmt-ignore
  return openS3({ ...shared, bucket, ...own }, runtime, signal);
}
