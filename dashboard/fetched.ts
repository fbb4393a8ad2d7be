/** Fetches the page's files in the worker, and says what is wrong with one that cannot be had. */

/** Addresses are relative to the page's folder: the worker's own file is in `assets/`. */
const WORKER = import.meta.url;
const addressOf = (path: string): URL => new URL(`../${path}`, WORKER);

export const DAMAGED =
  'The file is damaged. `insights-etl verify` checks all files; delete this one, and the next run computes it again.';

export class FileError extends Error {
  readonly file: string;
  readonly isMissing: boolean;
  constructor(file: string, message: string, isMissing: boolean) {
    super(message);
    this.file = file;
    this.isMissing = isMissing;
  }
}

export async function fetchFile(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const response = await fetch(addressOf(path), { headers }).catch(() => undefined);
  if (response === undefined)
    throw new FileError(path, 'The server does not answer. Start `insights-etl dashboard` again.', false);
  if (response.ok) return response;
  // It is shorter than the manifest says.
  if (response.status === 416) throw new FileError(path, DAMAGED, false);
  const said = response.headers.get('content-type')?.startsWith('text/plain') ? (await response.text()).trim() : '';
  const isMissing = [404, 410].includes(response.status);
  const ours = isMissing
    ? 'The file is missing. The next run writes it again.'
    : `The server answered ${response.status}.`;
  throw new FileError(path, said.length > 5 ? said : ours, isMissing);
}

export async function fetchJson<T>(path: string): Promise<T> {
  const response = await fetchFile(path);
  try {
    const value: T = JSON.parse(await response.text());
    return value;
  } catch {
    throw new FileError(path, 'The file is not valid JSON. `insights-etl publish` writes it again.', false);
  }
}
