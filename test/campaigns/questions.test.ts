/** docs/questions.md is what the program prints. `npm run questions` writes it again. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { listReports } from '../../src/query/report.ts';
import { LONG } from '../support/campaign.ts';
import { QUESTIONS, questionsPage } from '../support/questions.ts';

it('docs/questions.md answers ten questions with one command each, at most 100 columns wide, with reports that exist', async () => {
  const page = await readFile(new URL('../../docs/questions.md', import.meta.url), 'utf8');
  const answers = [...page.matchAll(/^```\n\$ insights-etl (\w+)(?: (\S+))?[^]*?^```$/gm)];
  expect(answers.map(([, command, name]) => [command, name])).toEqual(
    QUESTIONS.map(({ words }) => [words[0], words[1]?.includes(' ') === true ? '"select' : words[1]]),
  );
  expect(answers).toHaveLength(10);
  const names = (await listReports()).map(({ name }) => name);
  expect(
    answers.flatMap(([, command, name = '']) => (command === 'query' && !names.includes(name) ? [name] : [])),
  ).toEqual([]);
  const printed = answers.flatMap(([answer]) => answer.split('\n').filter((line) => !line.startsWith('$')));
  expect(printed.filter((line) => line.length > 100)).toEqual([]);
});

it('docs/questions.md shows what the program prints', LONG, async () => {
  await expect(await questionsPage()).toMatchFileSnapshot('../../docs/questions.md');
});
