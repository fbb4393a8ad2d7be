/**
 * Reads and decodes files away from the window, so that it stays quick. An answer holds data of one snapshot only: the files
 * of marts have names that are never used twice, and a manifest names all that belong together.
 */
import { decompress } from 'fzstd';
import { parquetReadObjects } from 'hyparquet';
import { snapshotOf } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { chartForm } from './reports.ts';
import type {
  Answers,
  Cell,
  Choice,
  Loaded,
  Options,
  Part,
  Proof,
  Question,
  Range,
  ReportText,
  Row,
  Snapshot,
} from './types.ts';

/** The page's folder: the worker's own file is in `assets/`. */
const ROOT = new URL('../', self.location.href);

/** A mart's file, with what has been decoded of it. */
interface Mart {
  readonly bytes: ArrayBuffer;
  readonly rows: Map<string, Promise<readonly Row[]>>;
}

/** In these columns: all together. */
const ALL = '(all)';

/** The files that were read. Dropped with the snapshot that named them. */
const files = new Map<string, Promise<Mart>>();

const COMPRESSORS = { ZSTD: (input: Uint8Array, size: number) => decompress(input, new Uint8Array(size)) };

class FileError extends Error {
  readonly file: string;
  readonly isMissing: boolean;
  constructor(file: string, message: string, isMissing: boolean) {
    super(message);
    this.file = file;
    this.isMissing = isMissing;
  }
}

async function fetchFile(path: string): Promise<Response> {
  const response = await fetch(new URL(path, ROOT)).catch(() => undefined);
  if (response === undefined)
    throw new FileError(path, 'The server does not answer. Start `insights-etl dashboard` again.', false);
  if (response.ok) return response;
  const said = response.headers.get('content-type')?.startsWith('text/plain') ? (await response.text()).trim() : '';
  const isMissing = [404, 410].includes(response.status);
  const ours = isMissing
    ? 'The file is missing. The next run writes it again.'
    : `The server answered ${response.status}.`;
  throw new FileError(path, said.length > 5 ? said : ours, isMissing);
}

async function fetchJson<T>(path: string): Promise<T> {
  const response = await fetchFile(path);
  try {
    const value: T = await response.json();
    return value;
  } catch {
    throw new FileError(path, 'The file is not valid JSON. `insights-etl publish` writes it again.', false);
  }
}

let reports: Promise<ReportText[]> | undefined;

async function readSnapshot(): Promise<{ manifest: Manifest; snapshot: Snapshot }> {
  reports ??= fetchJson<ReportText[]>('reports.json');
  reports.catch(() => (reports = undefined));
  const [manifest, texts] = await Promise.all([fetchJson<Manifest>('manifest.json'), reports]);
  const named = new Set(Object.values(manifest.marts).map(({ file }) => file));
  for (const file of files.keys()) if (!named.has(file)) files.delete(file);
  return { manifest, snapshot: snapshotOf(manifest, texts) };
}

function openMart(file: string): Promise<Mart> {
  const known = files.get(file);
  if (known) return known;
  const read = fetchMart(file);
  files.set(file, read);
  read.catch(() => files.delete(file));
  return read;
}

async function fetchMart(file: string): Promise<Mart> {
  return { bytes: await (await fetchFile(file)).arrayBuffer(), rows: new Map() };
}

/** The values that rows must have. */
type Wanted = Readonly<Record<string, string>>;

const equal = (wanted: Wanted): Record<string, { $eq: string }> =>
  Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, { $eq: value }]));

/**
 * Decodes only the parts of the file that can hold such rows, as its statistics say: with 20 tenants and five years, all rows
 * would take many seconds.
 */
async function readRows(file: string, filter: Wanted, columns?: string[]): Promise<readonly Row[]> {
  const { bytes, rows } = await openMart(file);
  return remembered(rows, JSON.stringify([filter, columns]), async () => {
    const objects = await decoded(file, () =>
      parquetReadObjects({
        file: bytes,
        compressors: COMPRESSORS,
        filter: equal(filter),
        ...(columns ? { columns } : {}),
      }),
    );
    return objects.map((object) =>
      Object.fromEntries(
        Object.entries(object).map(([name, value]) => [name === 'period' ? 'day' : name, asCell(name, value)]),
      ),
    );
  });
}

function remembered<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const before = known.get(key);
  if (before) return before;
  const made = make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}

async function decoded<T>(file: string, decode: () => Promise<T>): Promise<T> {
  try {
    return await decode();
  } catch {
    throw new FileError(
      file,
      'The file is damaged. `insights-etl verify` checks all files; delete this one, and the next run computes it again.',
      false,
    );
  }
}

function asCell(name: string, value: unknown): Cell {
  if (value instanceof Date)
    return name === 'day' || name === 'period' ? value.toISOString().slice(0, 10) : value.toISOString();
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** Sends the reports in their order, each as soon as it is decoded: in one message they would keep the window busy. */
async function readMarts(
  { choice, range, before, reports: names }: Extract<Question, { kind: 'marts' }>,
  isAgain: boolean,
  send: (part: Part) => void,
): Promise<void> {
  const { manifest, snapshot } = await readSnapshot();
  send({ snapshot, choice, range });
  const sources = names.map((name) => sourceOf(manifest, snapshot, name, choice));
  // All are fetched at once, and decoded one after another.
  for (const source of sources) if ('file' in source) openMart(source.file).catch(() => {});
  const between = (rows: readonly Row[], { from, to }: Range): Row[] =>
    rows.filter(({ day }) => typeof day === 'string' && day >= from && day < to);
  for (const [nth, name] of names.entries()) {
    const source = sources[nth];
    if (!source) continue;
    if (!('wanted' in source)) {
      send({ name, loaded: source });
      continue;
    }
    try {
      const rows = await readRows(source.file, source.wanted);
      const columns = Object.keys(rows[0] ?? {}).filter((name) => name !== source.without);
      send({ name, loaded: { rows: between(rows, range), before: before ? between(rows, before) : [], columns } });
    } catch (error) {
      if (!(error instanceof FileError) || (error.isMissing && !isAgain)) throw error;
      send({ name, loaded: { error: error.message, file: error.file } });
    }
  }
}

type Source =
  Exclude<Loaded, { rows: unknown }> | { readonly file: string; readonly wanted: Wanted; readonly without?: string };

/** Where a report's figures are, or why they are nowhere. */
function sourceOf({ marts }: Manifest, { reports }: Snapshot, name: string, choice: Choice): Source {
  const { tenant, grain, passType, platform } = choice;
  const text = reports.find((report) => report.name === name);
  const absent = absence(text, choice);
  if (absent !== undefined) return { absent };
  if (grain === 'day' && passType === '' && platform === '') {
    const mart = marts[name];
    if (mart) return { file: mart.file, wanted: { tenant_id: tenant } };
    return { absent: 'This snapshot does not have it. A run adds it, unless `lake.marts` leaves it out.' };
  }
  const mart = marts[`${name}_by`];
  if (!mart)
    return { absent: 'This snapshot has it by day and in total only. `lake.splitMarts: true` and a run add the rest.' };
  // A report with a row for each platform has no rows for all of them together. Its share is that of all platforms.
  const isByPlatform = chartForm(text).series === 'platform';
  const platforms = isByPlatform && platform === '' ? {} : { platform: platform || ALL };
  const wanted = { tenant_id: tenant, grain, pass_type: passType || ALL, ...platforms };
  return { file: mart.file, wanted, ...(isByPlatform && platform !== '' ? { without: 'share' } : {}) };
}

/** Why a report has no such figures. */
function absence(text: ReportText | undefined, { passType, platform }: Choice): string | undefined {
  const missing = [
    ...(passType !== '' && text?.filters.includes('pass_type') === false ? ['pass type'] : []),
    ...(platform !== '' && text?.filters.includes('platform') === false ? ['platform'] : []),
  ];
  return missing.length === 0 ? undefined : `This figure does not exist by ${missing.join(' and ')}.`;
}

/** What can be chosen: what the report of installs has, the mart that knows every pass type and platform. */
async function readOptions(tenant: string): Promise<Options> {
  const { manifest } = await readSnapshot();
  const file = manifest.marts['gross_installs_by']?.file;
  if (file === undefined) return { passTypes: [], platforms: [] };
  // Months have the fewest rows.
  const rows = await readRows(file, { tenant_id: tenant, grain: 'month' }, ['pass_type', 'platform']);
  const valuesOf = (name: string): string[] =>
    [...new Set(rows.map((row) => String(row[name])))].filter((value) => value !== ALL).sort();
  return { passTypes: valuesOf('pass_type'), platforms: valuesOf('platform') };
}

async function readProof(tenant: string): Promise<Answers['proof']> {
  const { manifest, snapshot } = await readSnapshot();
  const index = manifest.tenants.indexOf(tenant);
  const proof = await fetchJson<Proof>(`proof/${manifest.snapshot}.${index}.json`);
  return { snapshot, proof };
}

async function answer(question: Question, isAgain: boolean, send: (part: Part) => void): Promise<unknown> {
  if (question.kind === 'snapshot') return (await readSnapshot()).snapshot;
  if (question.kind === 'options') return readOptions(question.tenant);
  return question.kind === 'marts' ? readMarts(question, isAgain, send) : readProof(question.tenant);
}

self.addEventListener('message', (event: MessageEvent<{ id: number; question: Question }>) => {
  const { id, question } = event.data;
  const send = (part: Part): void => self.postMessage({ id, part });
  answer(question, false, send)
    .catch(async (error: unknown) => {
      // A file that is gone belonged to a snapshot that has been replaced meanwhile.
      if (!(error instanceof FileError && error.isMissing)) throw error;
      return answer(question, true, send);
    })
    .then(
      (value) => self.postMessage({ id, value }),
      (error: unknown) => {
        const file = error instanceof FileError ? error.file : '';
        self.postMessage({ id, error: error instanceof Error ? error.message : String(error), file });
      },
    );
});
