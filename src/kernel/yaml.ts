/** The YAML library, loaded when the first file is read: `--help` does without it. */
import { createRequire } from 'node:module';

type Package = typeof import('#yaml');

const load: (name: '#yaml') => Package = createRequire(import.meta.url);

export function yaml(): Package {
  return load('#yaml');
}
