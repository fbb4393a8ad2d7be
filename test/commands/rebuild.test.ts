/** `rebuild` after a change of the configuration, and what status and doctor report before and after. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { openStage, type Stage } from '../support/shell.ts';
import { LONG } from '../support/campaign.ts';

let sandbox: Sandbox;
let stage: Stage;

beforeAll(async () => {
  sandbox = await startSandbox({ rate: 0, memory: true, rows: 600, days: 2, seed: 5, tenants: ['demo'], frozen: true });
  stage = await openStage();
});
afterAll(async () => {
  await sandbox.close();
  await stage[Symbol.asyncDispose]();
});

function env(): Record<string, string> {
  return {
    INSIGHTS_BASE_URL: sandbox.url,
    INSIGHTS_TENANT: 'demo',
    INSIGHTS_API_KEY: sandbox.keyOf('demo'),
    INSIGHTS_CALLS_PER_MINUTE: '0',
    // Not what is tested here, and more work than all the rest.
    INSIGHTS_LAKE_MARTS: 'false',
    INSIGHTS_LAKE_CHECKS: 'false',
  };
}

async function run(...words: string[]): Promise<{ out: string; json: Record<string, unknown> }> {
  const { code, out, err } = await stage.run(words, env());
  expect({ words, code, err: code === EXIT.ok ? '' : err }).toEqual({ words, code: EXIT.ok, err: '' });
  return { out, json: words.includes('--json') ? JSON.parse(out) : {} };
}

describe('after a change of `promote`', () => {
  it(
    'reports give the same result at once, status and doctor show that a rebuild is due, and it changes no result',
    LONG,
    async () => {
      await run('run');
      const asked = ['sql', `select count(*) as n, count(pass_id) as passes, count(distinct store_id) as stores from events`, '--json']; // oxfmt-ignore
      const before = (await run(...asked)).json;
      expect((await run('status')).out).not.toContain('rebuild');
      expect((await run('rebuild')).out).toContain('nothing to do');

      await stage.write(
        'insights.yaml',
        'promote:\n  Events: [{ name: kind_of_pass, paths: [passKind, pass.kind] }]\n',
      );
      expect((await run('status')).out).toMatch(
        /[12] files? written under other promoted columns or privacy rules.*insights-etl rebuild/,
      );
      expect((await run('doctor')).out).toMatch(
        /rebuild: [12] files? with other promoted columns or privacy rules than today's/,
      );
      await run('run');
      expect((await run(...asked)).json).toEqual(before);
      const kinds = ['sql', 'select kind_of_pass, count(*) as n from events group by 1 order by 1', '--json'];
      const early = (await run(...kinds)).json;

      const callsBefore = sandbox.calls.length;
      const due = (await run('rebuild', '--dry-run', '--json')).json;
      expect(due).toMatchObject({ dryRun: true, tables: [{ tenant: 'demo', table: 'Events' }] });
      expect(await run('rebuild')).toMatchObject({ out: expect.stringMatching(/demo +Events +[12] .*\n\nrewritten and published · no calls/s) }); // oxfmt-ignore
      expect(sandbox.calls.length).toBe(callsBefore);
      expect((await run(...asked)).json).toEqual(before);
      expect((await run(...kinds)).json).toEqual(early);
      expect((await run('rebuild', '--json')).json).toMatchObject({ dryRun: false, tables: [] });
      expect((await run('status', '--json')).json).toMatchObject({ tables: expect.arrayContaining([expect.objectContaining({ table: 'Events', outdatedFiles: 0 })]) }); // oxfmt-ignore
      expect((await run('doctor')).out).toContain('every file has the promoted columns and privacy rules of today');
      expect((await run('run')).out).toContain('nothing new, no file changed');
    },
  );

  it.each([
    ['name: timestamp, paths: [a]', 'a name that no other column of the table has'],
    ['name: Store, paths: [a]', 'lower-case letters'],
    ['name: a, paths: ["a.*"]', 'keys joined by dots'],
    ['name: a, paths: []', 'not empty'],
    ['name: tags, type: text, paths: [a]', 'list, because reports depend on that type of tags'],
    ['name: a, type: uuid, paths: [a]', 'one of text, integer'],
  ])('{ %s } is refused with the key and what is allowed', async (column, allowed) => {
    await using other = await openStage();
    await other.write('insights.yaml', `promote:\n  Events: [{ ${column} }]\n`);
    const { code, err } = await other.run(['rebuild'], env());
    expect(code).toBe(EXIT.config);
    expect(err).toContain('promote.Events[0]');
    expect(err).toContain(allowed);
  });
});
