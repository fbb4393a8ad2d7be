#!/usr/bin/env node
/** The process: streams, signals, umask and the exit code. Everything else is handed in from here. */
import { main } from './commands/program.ts';
import type { Io } from './commands/shell.ts';
import { EXIT } from './kernel/errors.ts';

// What is written may hold personal data: nobody but its owner reads it.
process.umask(0o077);

// `insights-etl sql … | head` closes the pipe early: that is the reader's right and no failure.
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
