/**
 * Answers the window's questions: reads the manifest, fetches and decodes the marts' Parquet files, and computes what is drawn. It runs
 * beside the window, so that it stays quick. An answer holds data of one snapshot only: the files of marts have names that are never
 * used twice, and a manifest names all that belong together.
 */
import { chartColumns, chartContent, figureColumns, figureContent } from './contents.ts';
import type { RowsOfRanges } from './contents.ts';
import { fetchJson, FileError } from './fetched.ts';
import { snapshotOf } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { forgetOthers, openMart, readRows } from './marts.ts';
import { chartForm, HEADLINES, idOf, SECTIONS } from './reports.ts';
import { parseState, rangeBefore, rangeOf } from './state.ts';
import type { Choice, Head, Loaded, Options, Part, Proof, Question, ReportText, Snapshot, Source } from './types.ts';

/** Files that are fetched while one is decoded. A browser opens no more connections to a host. */
const AHEAD = 6;

/** In these columns: all together. */
const ALL = '(all)';

let reports: Promise<ReportText[]> | undefined;

async function readSnapshot(): Promise<{ manifest: Manifest; snapshot: Snapshot }> {
  reports ??= fetchJson<ReportText[]>('reports.json');
  reports.catch(() => (reports = undefined));
  const [manifest, texts] = await Promise.all([fetchJson<Manifest>('manifest.json'), reports]);
  return { manifest, snapshot: snapshotOf(manifest, texts) };
}

type Send = (part: Part) => void;

/** What the page shows at an address, each part as soon as it is known: all in one message would keep the window busy. */
async function answerPage(search: string, isAgain: boolean, send: Send): Promise<void> {
  const { manifest, snapshot } = await readSnapshot();
  const state = parseState(search);
  const span = snapshot.tenants.find(({ id }) => id === state.tenant) ?? snapshot.tenants[0];
  if (!span) throw new FileError('manifest.json', 'The lake holds no tenant yet. `insights-etl run` loads one.', false);
  const range = rangeOf(state, span);
  const { grain, passType, platform } = state;
  const choice = { tenant: span.id, grain, passType, platform };
  const head: Head = { snapshot, span, choice, range, earlier: rangeBefore(state, range) };
  if (state.page === 'proof') {
    send({ head });
    send({ proof: await readProof(manifest, span.id) });
  } else {
    const sourceOf = sourcesOf(manifest, snapshot, choice);
    const items = snapshot.hasMarts ? itemsOf(head) : [];
    const sources = items.map(({ report }) => sourceOf(report));
    const fetchAhead = (next: readonly Loaded<Source>[]): void => {
      for (const source of next) if ('wanted' in source) openMart(source).catch(() => {});
    };
    fetchAhead(sources.slice(0, 1));
    send({ head });
    for (const [nth, item] of items.entries()) {
      const source = sources[nth];
      if (source) send(await item.read(source, isAgain));
      fetchAhead(sources.slice(nth + 1, nth + 1 + AHEAD));
    }
    send({ options: await readOptions(manifest, span.id) });
  }
  forgetOthers(new Set(Object.values(manifest.marts).map(({ file }) => file)));
}

/** One chart, or one figure of the headline. */
interface Item {
  readonly report: string;
  readonly read: (source: Loaded<Source>, isAgain: boolean) => Promise<Part>;
}

/** In the order in which they are read: the first chart, the headline above it, then all other charts. */
function itemsOf({ snapshot, range, earlier, choice }: Head): readonly Item[] {
  const ranges = { range, earlier, grain: choice.grain };
  const rowsOf = async (source: Source, choose: (columns: readonly string[]) => string[]): Promise<RowsOfRanges> => {
    const { columns, rows } = await readRows(source, range, choose);
    return { columns, rows, before: earlier ? (await readRows(source, earlier, choose)).rows : [] };
  };
  const charts = SECTIONS.flatMap(({ charts }) => charts).map((plan): Item => {
    const form = chartForm(snapshot.reports.find(({ name }) => name === plan.report));
    return {
      report: plan.report,
      read: async (source, isAgain) => ({
        chart: idOf(plan),
        loaded: await loaded(source, isAgain, async (of) => {
          const rows = await rowsOf(of, (columns) => chartColumns(plan, form, columns));
          return { ...chartContent(plan, form, rows, ranges), source: of };
        }),
      }),
    };
  });
  const figures = HEADLINES.map((headline): Item => {
    return {
      report: headline.report,
      read: async (source, isAgain) => ({
        figure: headline.label,
        loaded: await loaded(source, isAgain, async (of) =>
          figureContent(headline, await rowsOf(of, (columns) => figureColumns(headline, columns)), ranges),
        ),
      }),
    };
  });
  return [...charts.slice(0, 1), ...figures, ...charts.slice(1)];
}

/** A file that is missing may belong to a snapshot that has been replaced: the first time, the question is answered again. */
async function loaded<T>(
  source: Loaded<Source>,
  isAgain: boolean,
  read: (source: Source) => Promise<T>,
): Promise<Loaded<T>> {
  if (!('wanted' in source)) return source;
  try {
    return await read(source);
  } catch (error) {
    if (!(error instanceof FileError) || (error.isMissing && !isAgain)) throw error;
    return { error: error.message, file: error.file };
  }
}

/** Where a report's figures are, or why they are nowhere. */
function sourcesOf(
  { marts }: Manifest,
  { reports }: Snapshot,
  choice: Choice,
): (name: string) => Source | { readonly absent: string } {
  const { tenant, grain, passType, platform } = choice;
  return (name) => {
    const text = reports.find((report) => report.name === name);
    const absent = absence(text, choice);
    if (absent !== undefined) return { absent };
    if (grain === 'day' && passType === '' && platform === '') {
      const mart = marts[name];
      if (mart) return { file: mart.file, bytes: mart.bytes, wanted: { tenant_id: tenant } };
      return { absent: 'This snapshot does not have it. A run adds it, unless `lake.marts` leaves it out.' };
    }
    const mart = marts[`${name}_by`];
    if (!mart)
      return {
        absent: 'This snapshot has it by day and in total only. `lake.splitMarts: true` and a run add the rest.',
      };
    // A report with a row for each platform has no rows for all of them together. Its share is that of all platforms.
    const isByPlatform = chartForm(text).series === 'platform';
    const platforms = isByPlatform && platform === '' ? {} : { platform: platform || ALL };
    const wanted = { tenant_id: tenant, grain, pass_type: passType || ALL, ...platforms };
    const without = isByPlatform && platform !== '' ? { without: 'share' } : {};
    return { file: mart.file, bytes: mart.bytes, wanted, ...without };
  };
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
async function readOptions({ marts }: Manifest, tenant: string): Promise<Options> {
  const mart = marts['gross_installs_by'];
  if (mart === undefined) return { passTypes: [], platforms: [] };
  // Months have the fewest rows.
  const source = { file: mart.file, bytes: mart.bytes, wanted: { tenant_id: tenant, grain: 'month' } };
  // Without them the filters offer what the address says.
  const table = await readRows(source, undefined, () => ['pass_type', 'platform']).catch(() => undefined);
  const valuesOf = (name: string): string[] =>
    [...new Set(table?.rows.map((row) => String(row[name])))].filter((value) => value !== ALL).sort();
  return { passTypes: valuesOf('pass_type'), platforms: valuesOf('platform') };
}

function readProof({ snapshot, tenants }: Manifest, tenant: string): Promise<Proof> {
  return fetchJson<Proof>(`proof/${snapshot}.${tenants.indexOf(tenant)}.json`);
}

async function answer(question: Question, isAgain: boolean, send: Send): Promise<unknown> {
  if (question.kind === 'page') return answerPage(question.search, isAgain, send);
  if (question.kind === 'rows') return readRows(question.source, question.range, (columns) => columns);
  return (await readSnapshot()).manifest.snapshot;
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
