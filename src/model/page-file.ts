/** The files of a written dashboard, by their names relative to its folder. */
import { MANIFEST_FILE, MARTS_FOLDER, OPENINGS } from './data-dir.ts';

/** A mart's file, also in its place of earlier versions. Its name is never used again for other contents. */
export const MART_FILE = new RegExp(String.raw`^${MARTS_FOLDER}/(?!${OPENINGS}\b)[\w-]+[./]\d+\.parquet$`);

/** Tenants are numbered in the manifest's order, so that no id becomes a part of a path. */
export const PROOF_FILE = /^proof\/(\d+)\.(\d+)\.json$/;

/** What the build makes of the page, but no file that is still being written. */
const ASSET = /^assets\/[\w.-]+(?<!\.tmp)$/;

const FIXED: ReadonlySet<string> = new Set(['index.html', 'reports.json', MANIFEST_FILE]);

/** True for a name that a dashboard has, and nothing else that a web host may need, such as `robots.txt`. */
export function isPageFile(name: string): boolean {
  return FIXED.has(name) || MART_FILE.test(name) || PROOF_FILE.test(name) || ASSET.test(name);
}
