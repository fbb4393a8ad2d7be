/**
 * Preloaded into the built program (`node --import`): sends SIGTERM to its own process at the moment in which the stage named
 * by STOP_AT begins, and notes that instant in the file STOP_MARK. A stage is known by what begins it: a statement of the
 * engine, a file operation, a call, a line of the log. Nothing of the program is changed.
 */
import { promises, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { DuckDBConnection } from '@duckdb/node-api';

/** In the order of a run that adds rows to a lake that is there. */
export const STAGES = {
  'starting, before it listens': { start: true },
  'opening the ledger': { file: /^mkdir .*work$/ },
  'putting away what was left': { sql: /select file, bytes, superseded_at is null as current from partitions/ },
  'counting at the source': { call: /summarize/ },
  'recording the comparison': { sql: /temp table compared/ },
  planning: { log: /"phase":"plan"/ },
  'fetching a page': { call: /\btake \d/ },
  'landing a page': { file: /^rename .*landing.*\.ndjson$/ },
  'staging the pages': { sql: /^insert into staged\b/ },
  'comparing with the old rows': { sql: /^with old as/ },
  'writing a generation': { sql: /^copy .*(events|logs|metrics).tenant_id=.*\.parquet\.tmp/s },
  'naming a generation': { file: /^rename .*store.*tenant_id=.*\.parquet$/ },
  'reading back': { sql: /^insert into file_fingerprints/ },
  'recording the merge': { sql: /^insert into batches/ },
  'removing what was landed': { file: /^rm .*landing/ },
  'recording the run': { sql: /^update runs set finished_at/ },
  'gathering days into months': { sql: /strftime\(hour, '%Y-%m'\) as month/ },
  'writing a month': { sql: /^copy .*month=.*\d{4}-\d\d\.\d+\.parquet\.tmp/s },
  'computing marts': { sql: /temp table mart_wanted/ },
  'writing a mart': { sql: /^copy .*marts.*\.parquet\.tmp/s },
  'running the checks': { sql: /temp table check_wanted/ },
  'describing properties': { sql: /temp table described_types/ },
  'writing the catalogue': { sql: /^attach .*insights\.duckdb/ },
  'naming the catalogue': { file: /^rename .*insights\.duckdb$/ },
  'naming the manifest': { file: /^rename .*manifest\.json$/ },
  'recording the snapshot': { sql: /^insert into snapshots/ },
  'linking the head': { file: /^link .*work/ },
  'writing the coverage': { sql: /^copy .*coverage\.parquet\.tmp/s },
  'sweeping old generations': { file: /^rm .*store.*\.parquet$/ },
  'writing the report': { file: /^rename .*last-run\.json$/ },
  ending: { log: /"run.end"/ },
};

const wanted = STAGES[process.env['STOP_AT']];
let sent = false;

function seen(kind, text) {
  if (sent || !wanted?.[kind]?.test(text)) return;
  sent = true;
  writeFileSync(process.env['STOP_MARK'], String(Date.now()));
  process.kill(process.pid, 'SIGTERM');
}

function watch(target, name, kind, textOf) {
  const original = target[name];
  target[name] = function (...given) {
    seen(kind, textOf(...given));
    return Reflect.apply(original, this, given);
  };
}

if (wanted) {
  for (const name of ['run', 'runAndReadAll', 'stream'])
    watch(DuckDBConnection.prototype, name, 'sql', (sql) => String(sql).trimStart());
  for (const name of ['mkdir', 'rm']) watch(promises, name, 'file', (path) => `${name} ${path}`);
  for (const name of ['rename', 'link']) watch(promises, name, 'file', (from, to) => `${name} ${to}`);
  syncBuiltinESMExports();
  watch(globalThis, 'fetch', 'call', (url, init) => String(init?.body));
  watch(process.stderr, 'write', 'log', (chunk) => String(chunk));
  if (wanted.start) {
    sent = true;
    writeFileSync(process.env['STOP_MARK'], String(Date.now()));
    process.kill(process.pid, 'SIGTERM');
  }
}
