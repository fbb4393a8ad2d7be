/**
 * docs/architecture.md follows one row through the program: a real run of one row must call every function it names. The files and
 * headings that the documents refer to must exist.
 */
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openWorld } from './pipeline/support/world.ts';
import { CAMPAIGN } from './support/campaign.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Names of the functions that ran while `work` did, by file relative to the repository. */
async function functionsCalled(work: () => Promise<unknown>): Promise<Map<string, Set<string>>> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    await work();
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const called = new Map<string, Set<string>>();
    for (const { url, functions } of result) {
      const file = url.replace(/^file:\/\//, '').replace(/\?.*$/, '');
      if (!file.startsWith(ROOT)) continue;
      const names = called.get(file.slice(ROOT.length)) ?? new Set();
      for (const { functionName, ranges } of functions) if ((ranges[0]?.count ?? 0) > 0) names.add(functionName);
      called.set(file.slice(ROOT.length), names);
    }
    return called;
  } finally {
    session.disconnect();
  }
}

it(
  'one row passes through every function that docs/architecture.md names, from the call to the published files',
  CAMPAIGN,
  async () => {
    const page = await readFile(new URL('../docs/architecture.md', import.meta.url), 'utf8');
    const steps = [...page.matchAll(/^\| \d+ +\| `(src\/[\w/-]+\.ts)` +\| `(\w+)` +\|/gm)].map(
      ([, file = '', name = '']) => ({ file, name }),
    );

    await using world = await openWorld(
      { rows: 0, days: 1, now: '2026-11-01T00:30:00Z' },
      { lake: { marts: true, checks: true } },
    );
    await world.sandbox.apply({
      action: 'rows',
      table: 'Events',
      tenant: 'demo',
      rows: [
        {
          eventId: '00000000-0000-4000-8000-000000000001',
          timestamp: '2026-10-31T10:00:00Z',
          tenantId: 'demo',
          eventType: 'Pass:Installed',
          operationId: 'op',
          properties: { passId: 'K1', device: 'apple' },
        },
      ],
    });
    const called = await functionsCalled(() => world.run({ tables: ['Events'] }));
    expect(steps.length).toBeGreaterThan(20);
    expect(await world.sql('select count(*)::int as n from events')).toEqual([{ n: 1 }]);
    const notCalled = steps.filter(({ file, name }) => called.get(file)?.has(name) !== true);
    expect(notCalled).toEqual([]);
  },
);

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '');
  return words.replaceAll(' ', '-');
}

it('the documents name only files, folders and headings that exist', async () => {
  const docs = (await readdir(new URL('docs', `file://${ROOT}`))).filter((name) => name.endsWith('.md'));
  const pages = ['README.md', ...docs.map((name) => `docs/${name}`)];
  const texts = new Map(
    await Promise.all(pages.map(async (page) => [page, await readFile(ROOT + page, 'utf8')] as const)),
  );
  const headings = new Map(
    [...texts].map(([page, text]) => [
      page,
      [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title)),
    ]),
  );
  const broken: string[] = [];
  for (const [page, text] of texts) {
    for (const [, path = ''] of text.matchAll(/`((?:src|sandbox|test|queries|deploy|schema)\/[\w./-]+)`/g))
      if (!existsSync(ROOT + path)) broken.push(`${page}: ${path}`);
    for (const [, target = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const path = target === '' ? page : decodeURI(new URL(target, `file:///${page}`).pathname.slice(1));
      if (!existsSync(ROOT + path)) broken.push(`${page}: ${target}`);
      else if (anchor !== undefined && headings.get(path)?.includes(anchor) !== true)
        broken.push(`${page}: ${target}#${anchor}`);
    }
  }
  expect(broken).toEqual([]);
});
