import { fileURLToPath } from 'node:url';

/** The folder of SQL files that ships with the package; the same distance from src/ and from dist/. */
export const QUERIES_FOLDER = fileURLToPath(new URL('../../queries', import.meta.url));
