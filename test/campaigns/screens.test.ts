/** docs/screens.md is what the program prints. `npm run screens` writes it again. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { CAMPAIGN } from '../support/campaign.ts';
import { screensPage } from '../support/screens.ts';
import { openStage } from '../support/shell.ts';

it('docs/screens.md starts every screen with its command, and each of these commands exists', async () => {
  await using stage = await openStage();
  const page = await readFile(new URL('../../docs/screens.md', import.meta.url), 'utf8');
  const screens = [...page.matchAll(/^```\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
  const commands = screens.map((screen) => /^\$ insights-etl ([a-z]+)/.exec(screen)?.[1]);
  expect(commands).toEqual(expect.arrayContaining(['doctor', 'plan', 'run', 'status', 'verify', 'query']));
  const { out } = await stage.run(['--help']);
  const known = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]);
  expect(commands.filter((command) => !known.includes(command))).toEqual([]);
});

it('docs/screens.md shows what the program prints', CAMPAIGN, async () => {
  await expect(await screensPage()).toMatchFileSnapshot('../../docs/screens.md');
});
