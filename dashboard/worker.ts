/**
 * Reads and decodes files away from the window, so that it stays quick. An answer holds data of one snapshot only: the files
 * of marts have names that are never used twice, and a manifest names all that belong together.
 */
import { decompress } from 'fzstd';
import { parquetReadObjects } from 'hyparquet';
import { snapshotOf } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import type { Answer, Answers, Cell, Loaded, Proof, Question, ReportText, Row, Snapshot } from './types.ts';

/** The page's folder: the worker's own file is in `assets/`. */
const ROOT = new URL('../', self.location.href);

interface Mart {
  readonly bytes: ArrayBuffer;
  /** Between which rows each tenant's lie: marts are ordered by tenant. */
  readonly spans: ReadonlyMap<string, readonly [from: number, to: number]>;
  readonly rows: Map<string, readonly Row[]>;
}

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
  const bytes = await (await fetchFile(file)).arrayBuffer();
  const spans = new Map<string, [number, number]>();
  const rows = await decoded(file, () =>
    parquetReadObjects({ file: bytes, compressors: COMPRESSORS, columns: ['tenant_id'] }),
  );
  for (const [nth, row] of rows.entries()) {
    const tenant = String(row['tenant_id']);
    const span = spans.get(tenant);
    if (span) span[1] = nth + 1;
    else spans.set(tenant, [nth, nth + 1]);
  }
  return { bytes, spans, rows: new Map() };
}

/** Decodes only the rows of the tenant: with 20 tenants and five years, those of all would take many seconds. */
async function readMart(file: string, tenant: string): Promise<readonly Row[]> {
  const { bytes, spans, rows } = await openMart(file);
  const [known, span] = [rows.get(tenant), spans.get(tenant)];
  if (known) return known;
  if (!span) return [];
  const [rowStart, rowEnd] = span;
  const objects = await decoded(file, () =>
    parquetReadObjects({ file: bytes, compressors: COMPRESSORS, rowStart, rowEnd }),
  );
  const read = objects
    .map((object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, asCell(name, value)])))
    .filter((row) => row['tenant_id'] === tenant);
  rows.set(tenant, read);
  return read;
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
  if (value instanceof Date) return name === 'day' ? value.toISOString().slice(0, 10) : value.toISOString();
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

async function readMarts(question: Extract<Question, { kind: 'marts' }>, isAgain: boolean): Promise<Answer> {
  const { tenant, range, before, reports: names } = question;
  const { manifest, snapshot } = await readSnapshot();
  const between = (rows: readonly Row[], { from, to }: { from: string; to: string }): Row[] =>
    rows.filter(({ day }) => typeof day === 'string' && day >= from && day < to);
  const load = async (name: string): Promise<Loaded> => {
    const mart = manifest.marts[name];
    if (mart === undefined)
      return { error: 'This snapshot has no mart of this report. `insights-etl run` computes it.', file: name };
    try {
      const rows = await readMart(mart.file, tenant);
      const shown = between(rows, range);
      const columns = Object.keys(rows[0] ?? {});
      return { rows: shown, before: before ? between(rows, before) : [], columns };
    } catch (error) {
      if (!(error instanceof FileError) || (error.isMissing && !isAgain)) throw error;
      return { error: error.message, file: error.file };
    }
  };
  const loaded = await Promise.all(names.map(async (name) => [name, await load(name)] as const));
  return { snapshot, tenant, range, reports: Object.fromEntries(loaded) };
}

async function readProof(tenant: string): Promise<Answers['proof']> {
  const { manifest, snapshot } = await readSnapshot();
  const index = manifest.tenants.indexOf(tenant);
  const proof = await fetchJson<Proof>(`proof/${manifest.snapshot}.${index}.json`);
  return { snapshot, proof };
}

function answer(question: Question, isAgain = false): Promise<Answers[Question['kind']]> {
  if (question.kind === 'snapshot') return readSnapshot().then(({ snapshot }) => snapshot);
  return question.kind === 'marts' ? readMarts(question, isAgain) : readProof(question.tenant);
}

self.addEventListener('message', (event: MessageEvent<{ id: number; question: Question }>) => {
  const { id, question } = event.data;
  answer(question)
    .catch(async (error: unknown) => {
      // A file that is gone belonged to a snapshot that has been replaced meanwhile.
      if (!(error instanceof FileError && error.isMissing)) throw error;
      return answer(question, true);
    })
    .then(
      (value) => self.postMessage({ id, value }),
      (error: unknown) => {
        const file = error instanceof FileError ? error.file : '';
        self.postMessage({ id, error: error instanceof Error ? error.message : String(error), file });
      },
    );
});
