/**
 * Runs the built program the way a person does: the sandbox and the pipeline are separate processes, so memory and
 * time are the pipeline's own. Everything listens on loopback and ends with the script.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** `--name value` pairs and bare `--flags` of the command line. */
export function options(defaults) {
  const found = { ...defaults };
  const argv = process.argv.slice(2);
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i].replace(/^--/, '');
    if (!(name in defaults)) throw new Error(`unknown option --${name}; known: ${Object.keys(defaults).join(', ')}`);
    found[name] = typeof defaults[name] === 'number' ? Number(argv[++i]) : argv[++i];
  }
  return found;
}

/** Starts a sandbox; its first line is its address. */
export async function startSandbox(...args) {
  const child = spawn(process.execPath, [CLI, 'sandbox', '--port', '0', ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const seen = [];
  await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the sandbox ended with ${code}`)));
    lines.on('line', (line) => {
      seen.push(line);
      resolve();
    });
  });
  const url = /https?:\/\/[^\s]+/.exec(seen[0])[0];
  return {
    url,
    lines: seen,
    /** Asks the admin surface: a change where there is a body, else a look. */
    async admin(path, body) {
      const address = /^admin (\S+)/m.exec(seen.join('\n'))[1];
      const headers = { 'content-type': 'application/json' };
      const change = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
      const response = await fetch(`${address}${path}`, change);
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return response.json();
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/**
 * Runs one command to its end, or until `killAfterMs`; the result holds the parsed `--json` output where there is one, and
 * where a signal was sent the seconds from there to the end.
 */
export async function cli(args, { env = {}, killAfterMs, signal = 'SIGKILL', script = CLI } = {}) {
  const started = performance.now();
  const child = spawn(process.execPath, [script, ...args.map(String)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  // Otherwise a character that is in two chunks is lost.
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  let signalled;
  const send = () => {
    signalled = performance.now();
    child.kill(signal);
  };
  const timer = killAfterMs === undefined ? undefined : setTimeout(send, killAfterMs);
  const [code, killedBy] = await new Promise((resolve) => child.once('close', (...end) => resolve(end)));
  clearTimeout(timer);
  let json;
  try {
    json = JSON.parse(out);
  } catch {
    json = undefined;
  }
  const now = performance.now();
  const secondsToEnd = signalled === undefined ? undefined : (now - signalled) / 1000;
  return { code, killedBy, out, err, json, seconds: (now - started) / 1000, secondsToEnd };
}

/** Environment that points the pipeline at one tenant of a sandbox. */
export function tenantEnv(url, dataDir, tenant = 'demo', more = {}) {
  return {
    INSIGHTS_BASE_URL: url,
    INSIGHTS_TENANT: tenant,
    INSIGHTS_API_KEY: `sandbox-${tenant}`,
    INSIGHTS_DATA_DIR: dataDir,
    INSIGHTS_CALLS_PER_MINUTE: '0',
    ...more,
  };
}

/** A folder that is gone when the script is. */
export async function scratch(name) {
  const folder = await mkdtemp(join(tmpdir(), `insights-etl-${name}-`));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** What figures depend on besides the program: of the folder that the command runs in, and of this machine. */
export function machine() {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  return { commit, node: process.version, processor: cpus()[0]?.model.trim(), cores: cpus().length };
}

/** A small seeded generator (mulberry32), so that a run can be repeated. */
export function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
