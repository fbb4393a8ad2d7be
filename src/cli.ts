#!/usr/bin/env node
/** The process: streams, signals, umask and exit code. Everything below gets them passed in. */
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Io } from './commands/shell.ts';

// Written files may hold personal data: only their owner may read them.
process.umask(0o077);

// The client of S3 would write a text into the log under Node 20. docs/install.md says which versions of Node are supported.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// A log that cannot be written, because its pipe is closed or its disk is full, must not stop a load.
process.stderr.on('error', () => {});

// Neither must a closed standard output. Commands that print rows ask for the error, and end.
let outputError: Error | undefined;
process.stdout.on('error', (error) => {
  outputError ??= error;
});

// Node 22.8 and later keep compiled code. In a folder of this user: the default one in /tmp is open to others. A folder that cannot
// be written is no error.
const caches = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
if ('enableCompileCache' in module && typeof module.enableCompileCache === 'function')
  module.enableCompileCache(join(caches, 'insights-etl'));

/** Time after which a process that is done no longer waits for the reader of its log. */
const PATIENCE_MS = 5000;

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
  outputError: () => outputError,
};

// Imported here, so that its code comes from the cache.
const { main } = await import('./commands/program.ts');
process.exitCode = await main(process.argv.slice(2), io);

const { stdout, stderr } = process;
let pending = stderr.writableLength;
setInterval(() => {
  if (stdout.writableLength === 0 && stderr.writableLength > 0 && stderr.writableLength >= pending) process.exit();
  pending = stderr.writableLength;
}, PATIENCE_MS).unref();
