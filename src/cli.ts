#!/usr/bin/env node
/** The process: streams, signals, umask and exit code. Everything below gets them passed in. */
import { main } from './commands/program.ts';
import type { Io } from './commands/shell.ts';
import { EXIT } from './kernel/errors.ts';

// Written files may hold personal data: only their owner may read them.
process.umask(0o077);

// `insights-etl sql … | head` closes the pipe early, which is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.disk);
});

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  cwd: process.cwd(),
  onStop(listener) {
    const listen = (signal: NodeJS.Signals): void => listener(signal);
    for (const signal of SIGNALS) process.on(signal, listen);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listen);
    };
  },
  exit: (code) => process.exit(code),
};

process.exitCode = await main(process.argv.slice(2), io);
