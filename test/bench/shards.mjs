/**
 * `npm run shards`: eight workers share 400 tenants on one machine. One is killed and started again. Then: the calls of each tenant stayed
 * within its limit, and all shards together are the lake that one process loads, row by row and hour by hour. Then there are three
 * shards instead of eight, and the next runs fetch no page. Takes minutes; --tenants 40 is a short version.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLI, cli, options, scratch, startSandbox } from './harness.mjs';

const wanted = options({ tenants: 400, shards: 8, to: 3, rows: 30, limit: 5 });
const place = await scratch('shards');
const log = join(place.folder, 'calls.ndjson');
const ids = Array.from({ length: wanted.tenants }, (_, nth) => `tenant-${String(nth).padStart(3, '0')}`);
const began = performance.now();
const say = (text) => console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}`);

const sandboxFlags = [
  '--days',
  1,
  '--now',
  '2026-11-01T00:30:00Z',
  '--frozen',
  '--rows',
  wanted.rows,
  '--rate',
  wanted.limit,
];
const sandbox = await startSandbox(...sandboxFlags, '--tenants', ids.join(','), '--calls', log);
const failures = [];
const expect = (what, ok) => {
  say(`${ok ? 'ok  ' : 'FAIL'} ${what}`);
  if (!ok) failures.push(what);
};

/** The configuration that every worker has. */
async function configFile(folder, limit) {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'insights.json');
  const config = {
    baseUrl: sandbox.url,
    dataDir: './data',
    callsPerMinute: limit,
    engine: { threads: 1 },
    lake: { marts: false, checks: false },
    // The sandbox would be most of the work with three.
    tables: { Logs: { enabled: false } },
    tenants: ids.map((id) => ({ id, apiKey: { env: `KEY_${id}` } })),
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}
const env = Object.fromEntries(ids.map((id) => [`KEY_${id}`, `sandbox-${id}`]));
const run = (config, shard) =>
  cli(['run', '--config', config, '--json', ...(shard === undefined ? [] : ['--shard', shard])], { env });

/** All rows that readers see. */
async function rowsOf(config) {
  const selects = [
    'select * from events order by all',
    'select * from metrics order by all',
    'select * exclude (verified_at) from coverage order by all',
  ];
  const texts = [];
  for (const select of selects) {
    const { out, err, code } = await cli(['sql', select, '--config', config, '--format', 'csv'], { env });
    if (code !== 0) throw new Error(err);
    texts.push(out);
  }
  return texts;
}

const lines = (texts) => texts.map((text) => text.split('\n').length - 2).join(', ');
const same = (a, b) => a.every((text, nth) => text === b[nth]);
const pagesOf = (json) => json.tables.reduce((sum, { pages }) => sum + pages, 0);

const logged = async () => (await readFile(log, 'utf8')).split('\n').filter((line) => line !== '');

/** Calls in the log of the source: the most of one tenant in any sliding minute, and how many were refused. */
async function callsIn(from) {
  const calls = (await logged()).slice(from).map((line) => JSON.parse(line));
  const times = new Map(calls.map(({ tenant }) => [tenant, []]));
  for (const call of calls) times.get(call.tenant).push(call);
  let most = 0;
  for (const ofTenant of times.values()) {
    const received = ofTenant.map((call) => Date.parse(call.received)).sort((a, b) => a - b);
    for (let first = 0, last = 0; last < received.length; last++) {
      while (received[last] - received[first] >= 60_000) first++;
      most = Math.max(most, last - first + 1);
    }
  }
  const refused = calls.filter(({ status }) => status === 429).length;
  return { calls: calls.length, tenants: times.size, most, refused };
}

/** Resolves when the shard has rows in its store. */
async function hasRows(dataDir) {
  for (;;) {
    const names = await readdir(join(dataDir, 'store'), { recursive: true }).catch(() => []);
    if (names.some((name) => name.endsWith('.parquet'))) return;
    await sleep(50);
  }
}

try {
  say(`${wanted.tenants} tenants, ${wanted.rows} rows each, ${wanted.limit} calls a minute each`);
  const divided = await configFile(join(place.folder, 'divided'), wanted.limit);
  const dataDir = join(place.folder, 'divided/data');
  const shards = Array.from({ length: wanted.shards }, (_, index) => `${index}/${wanted.shards}`);
  const victim = 3 % wanted.shards;
  const killed = async () => {
    const words = ['run', '--config', divided, '--shard', shards[victim]];
    const child = spawn(process.execPath, [CLI, ...words], { env: { ...process.env, ...env }, stdio: 'ignore' });
    const ended = once(child, 'exit');
    await hasRows(join(dataDir, `shards/${victim}-of-${wanted.shards}`));
    child.kill('SIGKILL');
    const [, signal] = await ended;
    say(`worker ${shards[victim]} was ended by ${signal} with rows in its store, and is started again`);
    return run(divided, shards[victim]);
  };
  const workers = await Promise.all(shards.map((shard, index) => (index === victim ? killed() : run(divided, shard))));
  expect(
    `${wanted.shards} workers ended with ${workers.map(({ code }) => code).join(' ')}`,
    workers.every(({ code }) => code === 0),
  );
  const first = await callsIn(0);
  expect(
    `${first.calls} calls for ${first.tenants} tenants: at most ${first.most} of one in any minute, ${first.refused} refused`,
    first.tenants === wanted.tenants && first.most <= wanted.limit && first.refused === 0,
  );

  const whole = await configFile(join(place.folder, 'whole'), wanted.limit);
  const one = await run(whole);
  expect(`one process ended with ${one.code} after ${one.seconds.toFixed(0)} s`, one.code === 0);
  const rows = await rowsOf(whole);
  const union = await rowsOf(divided);
  expect(
    `all shards are the lake of one process: ${lines(union)} rows of events, metrics and coverage`,
    same(rows, union),
  );

  const before = (await logged()).length;
  const { code, json, seconds } = await cli(
    ['reshard', '--config', divided, '--from', wanted.shards, '--to', wanted.to, '--json'],
    { env },
  );
  expect(
    `reshard ${wanted.shards} to ${wanted.to} ended with ${code} after ${seconds.toFixed(0)} s: ${json?.rows} rows, ${json?.files} files`,
    code === 0,
  );
  const sent = (await logged()).length - before;
  expect(`reshard sent ${sent} calls`, sent === 0);
  expect('the new shards are the lake of one process', same(rows, await rowsOf(divided)));
  const next = await Promise.all(
    Array.from({ length: wanted.to }, (_, index) => run(divided, `${index}/${wanted.to}`)),
  );
  const pages = next.reduce((sum, { json: report }) => sum + pagesOf(report), 0);
  expect(
    `the next runs ended with ${next.map((each) => each.code).join(' ')} and fetched ${pages} pages`,
    pages === 0 && next.every((each) => each.code === 0),
  );
  expect('the lake has not changed', same(rows, await rowsOf(divided)));
} finally {
  await sandbox.stop();
  await place.remove();
}
if (failures.length > 0) process.exitCode = 1;
