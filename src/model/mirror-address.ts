/** Where a mirror is: a folder, or a prefix in a bucket or container of an object store. */

type MirrorScheme = 's3' | 'gs' | 'az';

export type MirrorPlace =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: MirrorScheme;
      /** The bucket, or the container. */
      readonly bucket: string;
      /** Empty, or with a slash at its end. */
      readonly prefix: string;
    };

const MIRROR_FORM = 's3://bucket/prefix, az://container/prefix, gs://bucket/prefix or a folder';

/** The object that says what a mirror holds. */
export const MIRROR_HEAD = 'mirror.json';

const REMOTE = /^(s3|gs|az):\/\/([a-z0-9][a-z0-9._-]{2,62})(?:\/(.*))?$/;

/** What an address of an object store that cannot be used lacks; otherwise the forms that there are. */
export function mirrorFormOf(text: string): string {
  if (text.trim() !== text) return `${MIRROR_FORM}, without spaces around it`;
  if (!isStoreAddress(text)) return MIRROR_FORM;
  return REMOTE.test(text)
    ? `${MIRROR_FORM}. A prefix has letters without accents, digits, spaces and . _ = + @ - between single slashes`
    : `${MIRROR_FORM}. A bucket or container has 3 to 63 characters: a-z, 0-9, hyphens, dots and underscores, the first a letter or digit`;
}

/** True for an address of an object store, also one that cannot be used. */
export function isStoreAddress(text: string): boolean {
  return /^(s3|gs|az):\/\//i.test(text);
}

/** Undefined for a text that is no address of a mirror. A folder is taken as it is. */
export function parseMirrorPlace(text: string): MirrorPlace | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
    return text === '' || text.trim() !== text || text.startsWith('~') ? undefined : { kind: 'folder', path: text };
  const [, scheme, bucket, path = ''] = REMOTE.exec(text) ?? [];
  if (bucket === undefined || !(scheme === 's3' || scheme === 'gs' || scheme === 'az')) return undefined;
  const parts = path.replace(/\/$/, '').split('/');
  if (parts.length > 1 || parts[0] !== '')
    if (!parts.every((part) => /^[\w.=+@ -]+$/.test(part) && part !== '.' && part !== '..')) return undefined;
  const prefix = parts.join('/');
  return { kind: scheme, bucket, prefix: prefix === '' ? '' : `${prefix}/` };
}

/** A folder of a mirror as a mirror of its own. `path`: relative, with slashes. */
export function mirrorBelow(place: MirrorPlace, path: string): MirrorPlace {
  return place.kind === 'folder'
    ? { kind: 'folder', path: `${place.path.replace(/\/$/, '')}/${path}` }
    : { ...place, prefix: `${place.prefix}${path}/` };
}

/** Which mirror it is. Stores at two endpoints may have a bucket or container of the same name. */
export interface MirrorAddress {
  /** As `mirror.to` names it. */
  readonly to: string;
  /** Of the object store. Undefined: a folder, or written by an earlier version, which did not note it. */
  readonly endpoint?: string | undefined;
}

/** An endpoint that is not known may be any. */
export function isSameMirror(a: MirrorAddress, b: MirrorAddress): boolean {
  if (a.to !== b.to) return false;
  return a.endpoint === undefined || b.endpoint === undefined || ofAnyRegion(a.endpoint) === ofAnyRegion(b.endpoint);
}

/** Stricter: an endpoint that is not known is not one that is. */
export function isSameAddress(a: MirrorAddress, b: MirrorAddress): boolean {
  return isSameMirror(a, b) && (a.endpoint === undefined) === (b.endpoint === undefined);
}

/** The one at the same endpoint, or else one whose endpoint is not known. */
export function findMirror<T extends MirrorAddress>(mirrors: readonly T[], address: MirrorAddress): T | undefined {
  return (
    mirrors.find((mirror) => isSameAddress(mirror, address)) ?? mirrors.find((mirror) => isSameMirror(mirror, address))
  );
}

/** A bucket of Amazon's has the same name in each of its regions. */
function ofAnyRegion(endpoint: string): string {
  return endpoint.replace(/^https:\/\/s3\.[a-z0-9-]+\.amazonaws\.com$/, 'https://s3.amazonaws.com');
}

/** As it is written in a configuration. */
export function showMirrorPlace(place: MirrorPlace): string {
  if (place.kind === 'folder') return place.path;
  return `${place.kind}://${place.bucket}/${place.prefix}`.replace(/\/$/, '');
}
