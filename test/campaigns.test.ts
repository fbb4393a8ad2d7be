/** `npm test`, `npm run test:rest` and `npm run test:long` run every test once between them, and every campaign has a representative. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { findBrowser } from './dashboard/support/browser.ts';
import { LONG } from './support/campaign.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HELPER = 'support/campaign.ts';

/** Files with test code by their path in the repository, with their text. */
const sources = ['test', 'sandbox/test'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ path: join(folder, name), text: readFileSync(join(ROOT, folder, name), 'utf8') })),
);
/** Campaigns without a case in `npm test`, and the file of `npm test` that tries the same on a smaller scale. */
const REPRESENTED_BY: Readonly<Record<string, string>> = {
  'test/campaigns/fuzz/envelopes.test.ts': 'test/extract/source/envelope.test.ts',
  'test/campaigns/fuzz/rows.test.ts': 'test/load/merge/quarantine.test.ts',
  'test/campaigns/install.test.ts': 'test/commands/package.test.ts',
  'test/campaigns/mirror.test.ts': 'test/pipeline/mirror/push.test.ts',
  'test/campaigns/soak/histories.test.ts': 'test/load/merge/crash.test.ts',
  'test/campaigns/soak/kills.test.ts': 'test/load/merge/crash.test.ts',
  'test/campaigns/week.test.ts': 'test/pipeline/tenants.test.ts',
  'test/campaigns/year.test.ts': 'test/schedule/daemon.test.ts',
  'test/commands/logs.test.ts': 'test/commands/errors.test.ts',
  'test/dashboard/access.test.ts': 'test/dashboard/state.test.ts',
  'test/dashboard/filters.test.ts': 'test/dashboard/state.test.ts',
  'test/load/marts/openings.test.ts': 'test/load/marts/week-after.test.ts',
  'test/load/marts/split-marts.test.ts': 'test/load/marts/marts.test.ts',
  'test/load/publish/head.test.ts': 'test/load/publish/publish.test.ts',
  'test/load/publish/readers.test.ts': 'test/load/publish/publish.test.ts',
  'test/load/publish/reuse.test.ts': 'test/load/publish/publish.test.ts',
  'test/operate/scrape.test.ts': 'test/commands/schedule.test.ts',
  'test/pipeline/calls.test.ts': 'test/extract/plan/plan.test.ts',
  'test/pipeline/checks.test.ts': 'test/load/marts/checks.test.ts',
  'test/pipeline/clocks.test.ts': 'test/load/ledger/hours.test.ts',
  'test/pipeline/content.test.ts': 'test/load/ledger/hours.test.ts',
  'test/pipeline/distinct-rows.test.ts': 'test/load/merge/merge.test.ts',
  'test/pipeline/faults-content.test.ts': 'test/extract/source/envelope.test.ts',
  'test/pipeline/faults.test.ts': 'test/extract/source/client.test.ts',
  'test/pipeline/gaps.test.ts': 'test/query/kpi/cases.test.ts',
  'test/pipeline/maintenance/data-dir.test.ts': 'test/model/data-dir.test.ts',
  'test/pipeline/marts.test.ts': 'test/load/marts/marts.test.ts',
  'test/pipeline/privacy.test.ts': 'test/load/merge/privacy.test.ts',
  'test/pipeline/maintenance/moved.test.ts': 'test/load/publish/publish.test.ts',
  'test/pipeline/missing-rows.test.ts': 'test/extract/fetch/fetch.test.ts',
  'test/pipeline/proof.test.ts': 'test/load/ledger/hours.test.ts',
  'test/pipeline/rotation.test.ts': 'test/extract/plan/rotation.test.ts',
  'test/query/across.test.ts': 'test/commands/shard.test.ts',
  'test/pipeline/times.test.ts': 'test/load/merge/quarantine.test.ts',
};
const campaigns = sources.filter(({ path, text }) => path.endsWith('.test.ts') && text.includes(HELPER));

/** File and full name of each test that vitest finds in the files with campaigns. */
async function listed(...flags: string[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'insights-list-'));
  try {
    const list = join(folder, 'tests.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const argv = [vitest, 'list', `--json=${list}`, ...flags, ...campaigns.map(({ path }) => path)];
    await promisify(execFile)(process.execPath, argv, { cwd: ROOT });
    const tests = z.array(z.object({ name: z.string(), file: z.string() }));
    return tests.parse(JSON.parse(readFileSync(list, 'utf8'))).map(({ name, file }) => `${file} > ${name}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the tests', () => {
  test('of `npm test`, `npm run test:rest` and `npm run test:long` complement each other, and CI runs the first two', () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')));
    expect(scripts['test']).toBe('vitest run --tags-filter=!campaign');
    expect(scripts['test:rest']).toBe('vitest run --tags-filter=campaign --tags-filter=!long');
    expect(scripts['test:long']).toBe('vitest run --tags-filter=long');
    expect(scripts['test:all']).toBe('vitest run');
    const commands = readFileSync(join(ROOT, '.ci/run'), 'utf8').split('\n');
    expect(commands).toEqual(expect.arrayContaining(['npm test', '.ci/nodes']));
    // Each part of the campaigns runs under one of the versions of Node.
    expect(readFileSync(join(ROOT, '.ci/nodes'), 'utf8')).toContain(
      'npm run test:rest -- --shard="$((index + 1))/${#nodes[@]}"',
    );
  });

  test('get their tag from the helper only', () => {
    expect(campaigns.length).toBeGreaterThan(10);
    const tagged = sources.filter(({ text }) => /\btags: \['campaign'/.test(text)).map(({ path }) => path);
    expect(tagged).toEqual([join('test', HELPER)]);
  });

  test(
    'of a file with a campaign are split into parts; where the first is empty, another file represents it',
    LONG,
    async () => {
      const all = await listed();
      const quick = await listed('--tags-filter=!campaign');
      const rest = await listed('--tags-filter=campaign', '--tags-filter=!long');
      const long = await listed('--tags-filter=long');
      expect([...quick, ...rest, ...long].toSorted()).toEqual(all.toSorted());
      const without = (part: readonly string[]) =>
        campaigns.filter(({ path }) => !part.some((name) => name.startsWith(join(ROOT, path)))).map(({ path }) => path);
      expect(without(quick).toSorted()).toEqual(Object.keys(REPRESENTED_BY).toSorted());
      // Without a browser, vitest lists no test of the files that need one.
      const needBrowser = ({ text }: { readonly text: string }): boolean =>
        findBrowser() === undefined && /^const browser = findBrowser\(\);/m.test(text);
      expect(without([...rest, ...long])).toEqual(campaigns.filter(needBrowser).map(({ path }) => path));
      const represented = sources
        .map(({ path }) => path)
        .filter((path) => Object.values(REPRESENTED_BY).includes(path));
      expect(without(quick).filter((path) => !represented.includes(REPRESENTED_BY[path] ?? ''))).toEqual([]);
    },
  );
});
