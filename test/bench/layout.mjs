/**
 * `npm run layout -- --rows 1000000 --days 30`: what the layout of the Events files costs in bytes and in the time of a query. Loads a lake, or
 * takes the one of `--lake FOLDER`, and writes its Events files again with one property changed at a time, which needs twenty times their space.
 * Then DuckDB and, with `--python PATH` (versions: test/interop/lakehouse.txt), Polars and Spark answer four questions from each layout, in turns.
 * The command ends with 1 if a reader does not give the same answers for every layout that it reads. `--write` adds the result to
 * docs/layout.json, under `--name`, and the tables in docs/scale.md. `--quick` tries the command itself: few rows, no Python.
 */
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cli, machine, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { layoutPart, layoutTables } from './layout-page.mjs';
import { askDuckDB, openDuckDB, startPython } from './layout-readers.mjs';
import { QUESTIONS, VARIANTS, copySql } from './layout-variants.mjs';
import { fillPart } from './scale-page.mjs';

const { values: given } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    days: { type: 'string', default: '30' },
    lake: { type: 'string' },
    name: { type: 'string' },
    python: { type: 'string' },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});
if (given.quick && given.write) throw new Error('--quick measures too few rows to be written into the documentation');
const [rows, days] = [given.quick ? 20_000 : Number(given.rows), Number(given.days)];
if (![rows, days].every((count) => Number.isInteger(count) && count > 0)) throw new Error('--rows and --days are whole numbers above 0'); // oxfmt-ignore
const ROUNDS = 5;
const NOW = '2026-11-25T00:30:00Z';

const place = await scratch('layout');
const [writer, duckdb] = [await openDuckDB({ threads: '1' }), await openDuckDB()];
let python;
try {
  if (given.python !== undefined && !given.quick) python = await startPython(given.python);
  const lake = given.lake ?? (await load());
  const folder = join(place.folder, 'written');
  const files = await copyFiles(lake, folder);
  const { asked, allIdsAreUuids } = await questionsOf(folder);
  const expected = await expectedAnswers(folder, asked);
  // The first copy only warms the engine up.
  await rewrite(VARIANTS[0], files, join(place.folder, 'warm'));
  const layouts = [{ property: '–', name: 'as written', folder, bytes: await bytesOf(files, folder), found: {} }];
  for (const [nth, variant] of VARIANTS.entries()) {
    const isPossible = !variant.needsUuids || allIdsAreUuids;
    layouts.push({ ...variant, found: {}, ...(isPossible ? await rewrite(variant, files, join(place.folder, `${nth}`)) : { isImpossible: true }) }); // oxfmt-ignore
  }
  const engines = { DuckDB: (request) => askDuckDB(duckdb, request), ...python?.engines };
  const possible = layouts.filter(({ isImpossible }) => !isImpossible);
  // One engine after the other, so that none is at work while another is timed. Layouts take turns, because an engine gets faster the longer it
  // runs. The first round only warms up, and counts all rows.
  for (const [reader, ask] of Object.entries(engines))
    for (let round = 0; round <= ROUNDS; round++) {
      process.stderr.write(`${reader}: ${round === 0 ? 'warm-up' : `round ${round} of ${ROUNDS}`}\n`);
      for (const { folder, hasNoIds, found } of round % 2 === 0 ? possible : possible.toReversed()) {
        const isAsked = (name) => (name !== 'id' || !hasNoIds) && (name !== 'whole' || round === 0);
        const answers = await ask({ folder, asked, questions: Object.keys(QUESTIONS).filter(isAsked) });
        (found[reader] ??= []).push(answers);
      }
    }
  const result = {
    lake: { name: given.name ?? nameOf(), rows: Number(expected.whole[0][0]), files: files.length },
    at: new Date().toISOString().slice(0, 10),
    machine: machine(),
    readers: { DuckDB: duckdb.version, ...python?.versions },
    rounds: ROUNDS,
    variants: layouts.map((layout) => judged(layout, expected)),
  };
  console.log(layoutTables(result));
  report(result.variants);
  if (given.write) await write(result);
} finally {
  await python?.stop();
  for (const engine of [writer, duckdb]) engine.close();
  await place.remove();
}

function nameOf() {
  return given.lake === undefined ? `Sandbox, ${rows.toLocaleString('en-US')} rows over ${days} days` : 'Another lake';
}

/** A new lake of the sandbox's wallet, every hour of its Events verified. */
async function load() {
  const folder = join(place.folder, 'data');
  const sandbox = await startSandbox('--rows', rows, '--days', days, '--tenants', 'demo', '--now', NOW, '--frozen', '--rate', 0, '--memory-limit', '4GB'); // oxfmt-ignore
  try {
    const more = { INSIGHTS_LAKE_MARTS: 'false', INSIGHTS_TABLES_LOGS_ENABLED: 'false', INSIGHTS_TABLES_METRICS_ENABLED: 'false' }; // oxfmt-ignore
    const { code, err, json } = await cli(['run', '--json'], { env: tenantEnv(sandbox.url, folder, 'demo', more) });
    if (code !== 0 || json.tables.some(({ outcome }) => outcome !== 'verified'))
      throw new Error(`the load ended with ${code}\n${err.slice(-2000)}`);
    return folder;
  } finally {
    await sandbox.stop();
  }
}

/**
 * Copies the Events files of the published snapshot, since a run may remove them from the lake while this measures. Returns each copy, its path in
 * any of the folders, and its own metadata.
 */
async function copyFiles(lake, folder) {
  const { tables } = JSON.parse(await readFile(join(lake, 'manifest.json'), 'utf8'));
  const tenants = Object.values(tables.events?.tenants ?? {});
  const unproven = tenants.flatMap(({ coverage }) => coverage).filter(({ state }) => state !== 'verified');
  for (const { state, hours } of unproven)
    process.stderr.write(`hours of Events that are ${state}, not verified: ${hours}\n`);
  const partitions = tenants.flatMap((tenant) => tenant.partitions);
  if (partitions.length === 0) throw new Error(`${lake} has no Events`);
  return Promise.all(
    partitions.map(async ({ file }) => {
      const name = file.slice(file.indexOf('tenant_id='));
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await copyFile(join(lake, file), path);
      return { path, name, metadata: await writer.rows(`select decode(key), decode(value) from parquet_kv_metadata('${path}')`) }; // oxfmt-ignore
    }),
  );
}

/** Writes every file again, on one thread as the program does. */
async function rewrite(variant, files, folder) {
  for (const { name } of files) await mkdir(dirname(join(folder, name)), { recursive: true });
  const started = performance.now();
  for (const { path, name, metadata } of files) await writer.rows(copySql(variant, path, join(folder, name), metadata));
  const seconds = (performance.now() - started) / 1000;
  process.stderr.write(`written: ${variant.property}, ${variant.name}\n`);
  return { folder, seconds, bytes: await bytesOf(files, folder) };
}

async function bytesOf(files, folder) {
  const sizes = await Promise.all(files.map(async ({ name }) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What is asked of this lake: its spellings of an install, the pass with the most events, its largest day, and one id. */
async function questionsOf(folder) {
  const from = `from read_parquet('${folder}/**/*.parquet', hive_partitioning = false)`;
  const types = await duckdb.rows(`select distinct event_type ${from} where replace(lower(event_type), '.', ':') = 'pass:installed' order by all`); // oxfmt-ignore
  const pass = await duckdb.rows(`select pass_id, count(*) ${from} where pass_id is not null group by all order by 2 desc, 1 limit 1`); // oxfmt-ignore
  const day = await duckdb.rows(`select ("timestamp"::date)::varchar, count(*) ${from} group by all order by 2 desc, 1 limit 1`); // oxfmt-ignore
  const id = await duckdb.rows(`select event_id ${from} order by md5(event_id) limit 1`);
  const uuids = await duckdb.rows(`select bool_and(event_id is not distinct from try_cast(event_id as uuid)::varchar) ${from}`); // oxfmt-ignore
  if (types.length === 0 || pass.length === 0) throw new Error('the lake has no installs, or no event of a pass');
  const next = new Date(Date.parse(day[0][0]) + 86_400_000).toISOString().slice(0, 10);
  const [start, end] = [day[0][0], next].map((date) => `${date} 00:00:00+00:00`);
  const asked = { types: types.flat(), pass: pass[0][0], from: start, to: end, id: id[0][0] };
  return { asked, allIdsAreUuids: uuids[0][0] === 'true' };
}

/** What DuckDB answers from the files as written: every reader must answer the same from every layout. */
async function expectedAnswers(folder, asked) {
  const found = await askDuckDB(duckdb, { folder, questions: Object.keys(QUESTIONS), asked });
  return Object.fromEntries(
    Object.entries(found).map(([question, { answer, refused }]) => {
      if (answer === undefined) throw new Error(`DuckDB refuses the files as written (${question}): ${refused}`);
      return [question, answer];
    }),
  );
}

/** The figures of a layout: of each reader and question the median of the seconds, and whether every answer is right. */
function judged({ property, name, bytes, seconds, isImpossible, found }, expected) {
  if (isImpossible) return { property, name, isImpossible };
  const judge = ([warm, ...timed], question) => {
    const all = [warm, ...timed].flatMap((answers) => answers[question] ?? []);
    const refused = all.find((one) => one.refused !== undefined)?.refused;
    if (refused !== undefined) return { refused };
    const isRight = all.every(({ answer }) => JSON.stringify(answer) === JSON.stringify(expected[question]));
    const sorted = timed.flatMap((answers) => answers[question]?.seconds ?? []).toSorted((a, b) => a - b);
    return { isRight, seconds: rounded(sorted[Math.floor(sorted.length / 2)]) };
  };
  const ofRounds = (rounds) => Object.fromEntries(Object.keys(rounds[0]).map((name) => [name, judge(rounds, name)]));
  const readers = Object.fromEntries(Object.entries(found).map(([reader, rounds]) => [reader, ofRounds(rounds)]));
  return { property, name, bytes, seconds: rounded(seconds), readers };
}

/** To a tenth of a millisecond. */
function rounded(seconds) {
  return seconds === undefined ? undefined : Math.round(seconds * 10_000) / 10_000;
}

/** Says why a reader refuses a layout, and which one gives other answers. */
function report(variants) {
  for (const { property, name, readers = {} } of variants)
    for (const [reader, results] of Object.entries(readers)) {
      const found = Object.entries(results);
      const reasons = new Set(found.flatMap(([, { refused }]) => refused ?? []));
      for (const reason of reasons) process.stderr.write(`${reader} refuses "${property}, ${name}": ${reason}\n`);
      for (const [question] of found.filter(([, { isRight }]) => isRight === false)) {
        process.stderr.write(`${reader} gives another answer for "${property}, ${name}": ${question}\n`);
        process.exitCode = 1;
      }
    }
}

async function write(result) {
  const file = 'docs/layout.json';
  const known = JSON.parse(await readFile(file, 'utf8').catch(() => '[]'));
  const all = [...known.filter(({ lake }) => lake.name !== result.lake.name), result];
  await writeFile(file, `${JSON.stringify(all, null, 1)}\n`);
  await fillPart('layout', 'npm run layout', layoutPart(all));
  execFileSync(process.execPath, ['node_modules/oxfmt/bin/oxfmt', file, 'docs/scale.md']);
}
