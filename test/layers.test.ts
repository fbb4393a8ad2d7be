/**
 * The rules that keep the source readable, checked against the imports and the lengths of its files. Each message says which
 * rule is broken and why it exists.
 *
 *     cli > commands > output, operate, schedule, pipeline > extract | load > transform, query > model > kernel
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Source {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Our own files that it imports, types and dynamic imports included. */
  readonly imports: readonly string[];
  /** Those of them that are there when the program runs. */
  readonly values: readonly string[];
  readonly packages: readonly string[];
}

function readSources(folder: string): Source[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.tsx?$/.test(name),
  );
  return names.map((name) => {
    const path = `${folder}/${name.replaceAll('\\', '/')}`;
    const text = readFileSync(join(ROOT, path), 'utf8');
    const wanted = [
      ...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)'|\bimport\('([^']+)'\)|^import '([^']+)'/gm),
    ].map((match) => ({ isType: match[1] !== undefined, target: match[2] ?? match[3] ?? match[4] ?? '' }));
    const own = wanted
      .filter(({ target }) => target.startsWith('.'))
      .map(({ isType, target }) => ({ isType, target: normalize(join(dirname(path), target)).replaceAll('\\', '/') }));
    return {
      path,
      text,
      imports: own.map(({ target }) => target),
      values: own.filter(({ isType }) => !isType).map(({ target }) => target),
      packages: wanted.map(({ target }) => target).filter((target) => !target.startsWith('.')),
    };
  });
}

const sources = readSources('src');
const sandbox = readSources('sandbox').filter(({ path }) => !path.startsWith('sandbox/test/'));

const dashboard = readSources('dashboard');

const [KERNEL, MODEL] = ['src/kernel/', 'src/model/'];

/** What each folder may import besides itself and packages. A file belongs to the longest of these that its path begins with. */
const FOLDERS: Readonly<Record<string, { may: readonly string[]; why: string }>> = {
  'src/cli.ts': { may: ['src/commands/', KERNEL], why: 'it starts the process and does nothing else' },
  'src/commands/': {
    may: [KERNEL, MODEL, 'src/config/', 'src/schedule/', 'src/query/', 'src/pipeline/', 'src/output/', 'src/operate/'],
    why: 'a command turns arguments into one call of the level below, and its result into text',
  },
  'src/output/': {
    may: [KERNEL, MODEL, 'src/query/'],
    why: 'output formats the reports it is given and does no work of its own',
  },
  'src/operate/': {
    may: [KERNEL, MODEL],
    why: 'it hands reports to other machines; the commands collect them',
  },
  'src/schedule/': { may: [KERNEL, MODEL], why: 'which slot is due is a pure function, and the loop is given its job' },
  'src/config/': { may: [KERNEL, MODEL], why: 'the configuration is data that is passed to everything else' },
  'src/mirror/': { may: [KERNEL, MODEL], why: 'an object store knows objects and their names, not what they are for' },
  'src/pipeline/': {
    may: [KERNEL, MODEL, 'src/config/', 'src/extract/', 'src/transform/', 'src/load/', 'src/mirror/', 'src/query/'],
    why: 'the pipeline is the only place where the stages meet, and it calls nothing above it',
  },
  'src/extract/source/': {
    may: [KERNEL, MODEL],
    why: 'the client knows queries and answers, not what they are for',
  },
  'src/extract/compare/': {
    may: [KERNEL, MODEL, 'src/extract/source/'],
    why: 'what differs is known before anything is planned',
  },
  'src/extract/plan/': {
    may: [KERNEL, MODEL, 'src/extract/source/', 'src/extract/compare/'],
    why: 'pages are planned from what differs, before anything is fetched',
  },
  'src/extract/fetch/': {
    may: [KERNEL, MODEL, 'src/extract/source/', 'src/extract/compare/', 'src/extract/plan/'],
    why: 'what to fetch comes in as an argument and landed files go out as a result: extract never reads the lake',
  },
  'src/transform/': { may: [KERNEL, MODEL], why: 'it builds SQL from the table definitions and runs nothing' },
  'src/load/ledger/': {
    may: [KERNEL, MODEL, 'src/transform/'],
    why: 'every other part of load writes to the ledger, so it must depend on none of them',
  },
  'src/load/store/': {
    may: [KERNEL, MODEL, 'src/transform/', 'src/load/ledger/'],
    why: 'a file of the store is written the same way whoever asks for it',
  },
  'src/load/merge/': {
    may: [KERNEL, MODEL, 'src/transform/', 'src/load/ledger/', 'src/load/store/'],
    why: 'a merge ends in the store and the ledger; publishing is a later step',
  },
  'src/load/marts/': {
    may: [
      KERNEL,
      MODEL,
      'src/transform/',
      'src/query/definitions.ts',
      'src/query/custom.ts',
      'src/query/engine-message.ts',
      'src/load/ledger/',
      'src/load/store/',
    ],
    why: 'marts and checks are computed from the store before anything is published',
  },
  'src/load/publish/': {
    may: [
      KERNEL,
      MODEL,
      'src/transform/',
      'src/query/definitions.ts',
      'src/query/custom.ts',
      'src/query/column-words.ts',
      'src/query/sql-file.ts',
      'src/load/ledger/',
      'src/load/store/',
      'src/load/marts/',
    ],
    why: 'publishing shows what the ledger holds and changes no row',
  },
  'src/load/maintenance/': {
    may: [KERNEL, MODEL, 'src/transform/', 'src/load/'],
    why: 'repair, verify and the like work on all parts of load, and none of those calls them',
  },
  'src/query/': { may: [KERNEL, MODEL], why: 'readers see the published files only' },
  'src/model/': { may: [KERNEL], why: 'it is the vocabulary of all other folders' },
  'src/kernel/': { may: [], why: 'everything else uses it' },
};

function folderOf(path: string): string | undefined {
  const matching = Object.keys(FOLDERS).filter((folder) => path.startsWith(folder));
  return matching.sort((a, b) => b.length - a.length)[0];
}

describe('layers', () => {
  it('the test sees the source', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.flatMap((source) => source.imports).length).toBeGreaterThan(100);
    expect(sandbox.length).toBeGreaterThan(20);
  });

  it('every file lies in a folder with a rule: a new folder says what it may import', () => {
    expect(sources.map(({ path }) => path).filter((path) => folderOf(path) === undefined)).toEqual([]);
  });

  it.each(Object.entries(FOLDERS))('%s imports only what it may', (folder, { may, why }) => {
    const breaches = sources
      .filter((source) => folderOf(source.path) === folder)
      .flatMap(({ path, imports }) => imports.map((target) => ({ path, target })))
      .filter(({ target }) => ![...may, folder].some((prefix) => target.startsWith(prefix)))
      .map(({ path, target }) => `${path} imports ${target}: ${folder} may not, because ${why}`);
    expect(breaches).toEqual([]);
  });

  it('extract and load never import each other: one could not be tested or replaced without the other', () => {
    const crossing = sources.filter(
      ({ path, imports }) =>
        (path.startsWith('src/extract/') && imports.some((target) => target.startsWith('src/load/'))) ||
        (path.startsWith('src/load/') && imports.some((target) => target.startsWith('src/extract/'))),
    );
    expect(crossing.map(({ path }) => path)).toEqual([]);
  });

  it('the sandbox imports nothing from src: a source that shared code with its client would share its mistakes', () => {
    const targets = sandbox.flatMap(({ path, imports, packages }) =>
      [...imports, ...packages].map((target) => ({ path, target })),
    );
    expect(targets.filter(({ target }) => target.startsWith('src/') || target.startsWith('#'))).toEqual([]);
  });

  it('the dashboard imports nothing from src or Node, and src nothing from it: it runs in a browser', () => {
    expect(dashboard.length).toBeGreaterThan(15);
    const targets = dashboard.flatMap(({ path, imports, packages }) =>
      [...imports, ...packages].map((target) => ({ path, target })),
    );
    const foreign = targets.filter(({ target }) => /^(src|sandbox)\/|^(node:|#)/.test(target));
    expect(foreign).toEqual([]);
    expect(sources.filter(({ imports }) => imports.some((target) => target.startsWith('dashboard/')))).toEqual([]);
  });

  it('only the command `sandbox` loads the sandbox, and only when it runs: production installs work without it', () => {
    expect(sources.filter(({ imports }) => imports.some((target) => target.startsWith('sandbox/')))).toEqual([]);
    const users = sources.filter(({ packages }) => packages.includes('#sandbox'));
    expect(users.map(({ path }) => path)).toEqual(['src/commands/sandbox.ts']);
    expect(users.map(({ text }) => text.match(/^import (?!type).*'#sandbox'/m))).toEqual([null]);
  });

  it('no import cycles: what runs first would depend on who imports first', () => {
    const byPath = new Map([...sources, ...sandbox, ...dashboard].map((source) => [source.path, source]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
      if (done.has(path) || trail.includes(path)) return;
      for (const target of byPath.get(path)?.values ?? []) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const { path } of [...sources, ...sandbox, ...dashboard]) visit(path, []);
    expect(cycles).toEqual([]);
  });
});

describe('where the outside world is touched', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]): string[] =>
    sources
      .filter(({ path, text }) => pattern.test(text) && !allowed.some((prefix) => path.startsWith(prefix)))
      .map(({ path }) => path);

  it('the console is never used: commands print to the streams they are given', () => {
    expect(offenders(/\bconsole\./, [])).toEqual([]);
  });

  it('environment, arguments, working directory and exit are read only in cli.ts', () => {
    expect(offenders(/\bprocess\.(env|argv|cwd|exit|stdout|stderr|on)\b/, ['src/cli.ts'])).toEqual([]);
  });

  it('clocks and random numbers are read only in runtime.ts', () => {
    expect(
      offenders(/\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)|\bMath\.random\(/, ['src/kernel/runtime.ts']),
    ).toEqual([]);
  });

  it('only the sandbox loads the KQL parser: it is an optional package', () => {
    const users = sources.filter(({ packages }) => packages.some((name) => name.startsWith('@kusto/')));
    expect(users.map(({ path }) => path)).toEqual([]);
  });
});

describe('promises', () => {
  it('test/INVARIANTS.md names the promises and only test files that exist', () => {
    const text = readFileSync(join(ROOT, 'test/INVARIANTS.md'), 'utf8');
    expect(text.match(/^\d+\. \*\*/gm)).toHaveLength(16);
    const named = [...text.matchAll(/`([\w/-]+\.test\.ts)`/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(join(ROOT, 'test', path)))).toEqual([]);
  });

  it('test/INVARIANTS.md marks each file that `npm test` does not run whole', () => {
    const text = readFileSync(join(ROOT, 'test/INVARIANTS.md'), 'utf8');
    const named = [...text.matchAll(/`([\w/-]+\.test\.ts)`( \(campaign\))?/g)];
    const wrong = named.filter(([, path = '', mark]) => {
      const hasCampaign = /from '[./]*support\/campaign\.ts'/.test(readFileSync(join(ROOT, 'test', path), 'utf8'));
      return hasCampaign !== (mark !== undefined);
    });
    expect(wrong.map(([found]) => found)).toEqual([]);
  });
});

describe('form', () => {
  it('no file is longer than 400 lines: what grows past that hides two decisions', () => {
    const long = [...sources, ...sandbox, ...dashboard, ...readSources('test'), ...readSources('sandbox/test')]
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it('no file is called utils or helpers: a name says which decision the file hides', () => {
    const drawers = /\/(utils?|helpers?|managers?|services?|common|misc)\.ts$/;
    expect([...sources, ...sandbox, ...dashboard].map(({ path }) => path).filter((path) => drawers.test(path))).toEqual(
      [],
    );
  });

  it('no default export, no suppressed type error, no skipped or lonely test', () => {
    const [bad, tests] = [
      /export default|@ts-(ignore|expect-error|nocheck)/,
      /\b(it|describe|test)\.(only|skip|todo)\b/,
    ];
    expect(sources.filter(({ text }) => bad.test(text)).map(({ path }) => path)).toEqual([]);
    const own = 'test/layers.test.ts';
    expect(
      readSources('test')
        .filter(({ path, text }) => path !== own && tests.test(text))
        .map(({ path }) => path),
    ).toEqual([]);
  });
});
