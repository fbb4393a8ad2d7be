/** The engines that `npm run layout` asks: DuckDB in this process, and those of `layout.py` in one process for the whole run. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { QUESTIONS } from './layout-variants.mjs';

const SCRIPT = fileURLToPath(new URL('layout.py', import.meta.url));

/** One connection to an engine of its own. `rows`: the answer as texts, because a count may exceed what a number holds. */
export async function openDuckDB(settings = {}) {
  const db = await DuckDBInstance.create(':memory:', settings);
  const connection = await db.connect();
  await connection.run(`set TimeZone = 'UTC'`);
  const cell = (value) => (value === null ? null : String(value));
  const rows = async (sql) => (await connection.runAndReadAll(sql)).getRowsJson().map((row) => row.map(cell));
  const [[version]] = await rows('select version()');
  return {
    version: version.replace(/^v/, ''),
    rows,
    close() {
      connection.closeSync();
      db.closeSync();
    },
  };
}

const firstLine = (error) => String(error.message).split('\n')[0].slice(0, 200);

/** What DuckDB finds in a folder: of each question the answer and its seconds, or why it refuses. */
export async function askDuckDB({ rows }, { folder, questions, asked }) {
  const found = {};
  for (const name of questions) {
    try {
      await rows(`create or replace view events as from read_parquet('${folder}/**/*.parquet', hive_partitioning = false)`); // oxfmt-ignore
      const sql = QUESTIONS[name](asked);
      const started = performance.now();
      const answer = await rows(sql);
      found[name] = { answer, seconds: (performance.now() - started) / 1000 };
    } catch (error) {
      found[name] = { refused: firstLine(error) };
    }
  }
  return found;
}

/** Starts `layout.py`. `versions` and `engines` have the engines that this Python has; an engine is asked as `askDuckDB` is. */
export async function startPython(python) {
  const child = spawn(python, [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (part) => (errors = (errors + part).slice(-4000)));
  const ended = new Promise((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('close', (code) => resolve(`it ended with ${code}\n${errors}`));
  });
  // A write to a process that has ended is reported by its end.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await Promise.race([lines.next(), ended.then((why) => ({ why }))]);
    if (value === undefined) throw new Error(`${python} could not read the lake: ${await ended}`);
    return JSON.parse(value);
  };
  const { readers: versions } = await next();
  const ask = (reader) => (request) => {
    child.stdin.write(`${JSON.stringify({ reader, ...request })}\n`);
    return next();
  };
  return {
    versions,
    engines: Object.fromEntries(Object.keys(versions).map((reader) => [reader, ask(reader)])),
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
