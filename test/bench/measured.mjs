/** Runs a program to its end and measures it from outside: seconds, seconds of processor time, and the most memory it held. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';

const SAMPLE_MS = 50;
const TICKS_PER_SECOND = 100;

/** Throws if the program fails. Memory and processor time are read from /proc: undefined on systems without it. */
export async function measured(command, args, env = {}) {
  const started = performance.now();
  const child = spawn(command, args.map(String), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stdout.on('data', (part) => (out += part));
  child.stderr.on('data', (part) => (err += part));
  const last = {};
  const sample = async () => {
    // The process may end between two samples.
    const [status, stat] = await Promise.all(
      ['status', 'stat'].map((name) => readFile(`/proc/${child.pid}/${name}`, 'utf8').catch(() => '')),
    );
    const peak = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
    if (peak !== undefined) last.peakMB = Math.round(Number(peak) / 1024);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length > 12) last.cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  };
  const timer = setInterval(() => void sample(), SAMPLE_MS);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(timer);
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${err.slice(-2000)}\n${out.slice(-2000)}`);
  return { seconds: (performance.now() - started) / 1000, ...last, out };
}
