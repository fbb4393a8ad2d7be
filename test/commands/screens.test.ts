/** The commands on docs/screens.md; `test/campaigns/screens.test.ts` compares the page with what the program prints. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

it('docs/screens.md starts every screen with its command, and each of these commands exists', async () => {
  const page = await readFile(new URL('../../docs/screens.md', import.meta.url), 'utf8');
  const screens = [...page.matchAll(/^```\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
  const commands = screens.map((screen) => /^\$ insights-etl ([a-z]+)/.exec(screen)?.[1]);
  expect(commands).toEqual(expect.arrayContaining(['doctor', 'plan', 'run', 'status', 'verify', 'query']));
  const { out } = await stage.run(['--help']);
  const known = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]);
  expect(commands.filter((command) => !known.includes(command))).toEqual([]);
});
