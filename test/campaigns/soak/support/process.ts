/** The real program as a process of its own, against the same source and data directory. */
import { spawn } from 'node:child_process';

export interface Ended {
  /** Undefined: it was killed. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

/** Kills with SIGKILL, `ms` after the process was spawned or after it said that its run has started. */
export interface Kill {
  readonly after: 'spawn' | 'start';
  readonly ms: number;
}

export async function runProcess(
  cli: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  kill?: Kill,
): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], { env: { PATH: process.env['PATH'], ...env } });
  let [out, err] = ['', ''];
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    timer ??= setTimeout(() => child.kill('SIGKILL'), kill?.ms);
  };
  if (kill?.after === 'spawn') arm();
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => (out += chunk));
  child.stderr.on('data', (chunk: string) => {
    err += chunk;
    if (kill?.after === 'start' && err.includes('run.start')) arm();
  });
  const code = await new Promise<number | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit) => resolve(exit ?? undefined));
  });
  clearTimeout(timer);
  return { code, out, err };
}
