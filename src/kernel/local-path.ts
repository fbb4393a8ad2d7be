/** Paths that look like places of this machine and are none. */

/** What to write instead, as in `Allowed: …`; undefined for a path of this machine. */
export function notLocal(path: string): string | undefined {
  const [, scheme = ''] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(path) ?? [];
  if (scheme.toLowerCase() === 'file') return 'a path without file://, such as /srv/insights';
  if (scheme !== '')
    return `a path on this machine; copy it to ${scheme}:// afterwards, for example with rclone or the tool of the provider`;
  if (path.startsWith('~')) return 'an absolute path such as /home/me/insights: only a shell replaces ~';
  return undefined;
}
