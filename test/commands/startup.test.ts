/** What is loaded before a command acts: `--help` and `--version` must start at once. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { main } from '../../src/commands/program.ts';
import { COMMANDS } from '../../src/commands/registry.ts';
import type { Io, Shell } from '../../src/commands/shell.ts';
import { Collector } from '../support/shell.ts';

/** The packages that a file loads with it, through any number of our own files. Types and dynamic imports are not loaded. */
function loadedWith(path: string, seen = new Set<string>()): Set<string> {
  const text = readFileSync(path, 'utf8');
  for (const [, bindings = '', target = ''] of text.matchAll(/^import (?!type)([^;]*?)from '([^']+)'/gm)) {
    const isOnlyTypes = /^\{(?:\s*type \w+,?)+\s*\}\s*$/.test(bindings);
    const file = target.startsWith('.') ? join(dirname(path), target) : target;
    if (isOnlyTypes || seen.has(file)) continue;
    seen.add(file);
    if (target.startsWith('.')) loadedWith(file, seen);
  }
  return new Set([...seen].filter((name) => !name.startsWith('/') && !name.startsWith('node:')));
}

it('`--help` loads nothing but the parser of the command line', () => {
  const program = fileURLToPath(new URL('../../src/commands/program.ts', import.meta.url));
  expect(loadedWith(program)).toEqual(new Set(['commander']));
});

function ioTo(stdout: Collector): Io {
  return { stdout, stderr: new Collector(), env: {}, cwd: '/', onStop: () => () => {}, exit: () => {} };
}

it('lists every command as it describes itself, whether it is loaded or not', async () => {
  const shell: Shell = { io: ioTo(new Collector()), exitCode: 0 };
  for (const { name, load } of COMMANDS) expect((await load(shell)).name()).toBe(name);
  const helpOf = async (...argv: string[]): Promise<string> => {
    const stdout = new Collector();
    await main(argv, ioTo(stdout));
    return stdout.text;
  };
  const all = await helpOf('--help');
  for (const { name, description } of COMMANDS) {
    expect(all).toContain(`\n  ${name} `);
    expect(all.replaceAll(/\s+/g, ' ')).toContain(description);
    const own = (await helpOf(name, '--help')).replaceAll(/\s+/g, ' ');
    expect(own).toContain(description);
  }
});
