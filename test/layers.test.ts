/**
 * The rules that keep the source readable, checked against the imports and the lengths of its files. Each message says which
 * rule is broken and why there is one.
 *
 *     cli > commands > daemon, pipeline > extract | load (> transform) > core
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
    name.endsWith('.ts'),
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

const CORE = [
  'instant',
  'tables',
  'errors',
  'fingerprint',
  'page',
  'files',
  'runtime',
  'closest',
  'json-path',
  'promoted',
  'privacy',
  'quiet',
  'zone',
  'spreadsheet-text',
  'definitions',
].map((name) => `src/${name}.ts`);

/** What each area may import besides itself and the packages. An area is the longest of these that a path begins with. */
const AREAS: Readonly<Record<string, { may: readonly string[]; why: string }>> = {
  'src/cli.ts': { may: ['src/commands/', 'src/errors.ts'], why: 'it is the process and nothing else' },
  'src/commands/demo.ts': { may: ['src/'], why: 'it shows everything' },
  'src/commands/sandbox.ts': { may: ['src/sandbox/', 'src/commands/', ...CORE], why: 'it starts the sandbox' },
  'src/commands/': {
    may: [
      ...CORE,
      'src/config',
      'src/export/',
      'src/output/',
      'src/pipeline/',
      'src/reader.ts',
      'src/report.ts',
      'src/schedule.ts',
      'src/agenda.ts',
      'src/daemon.ts',
      'src/operate/',
    ],
    why: 'a command turns words into a call of the level below and its answer into words',
  },
  'src/output/': {
    may: [...CORE, 'src/pipeline/report.ts', 'src/reader.ts'],
    why: 'output shows what it is given; it knows the shapes of reports and no work',
  },
  'src/config': { may: CORE, why: 'the configuration is data that everything is handed' },
  'src/daemon.ts': { may: [...CORE, 'src/agenda.ts', 'src/slots.ts'], why: 'the loop is handed the run it repeats' },
  'src/agenda.ts': { may: [...CORE, 'src/schedule.ts'], why: 'what is due is a pure function' },
  'src/operate/': {
    may: [...CORE, 'src/pipeline/report.ts'],
    why: 'it tells what it is given to other machines; the commands gather it',
  },
  'src/pipeline/': {
    may: [...CORE, 'src/config', 'src/extract/', 'src/load/', 'src/transform/', 'src/reader.ts'],
    why: 'the pipeline is the one place where the stages meet, and it calls nothing above it',
  },
  'src/extract/': {
    may: CORE,
    why: 'what to fetch comes in as an argument, what was landed goes out as a result: never the lake',
  },
  'src/load/': { may: [...CORE, 'src/transform/'], why: 'loading knows pages and files, not where they come from' },
  'src/transform/': { may: CORE, why: 'it builds SQL from the table definitions, and runs nothing' },
  'src/export/': {
    may: [...CORE, 'src/reader.ts'],
    why: 'an export reads what readers read, and writes outside the lake',
  },
  'src/sandbox/': {
    may: ['src/instant.ts', 'src/tables.ts', 'src/errors.ts'],
    why: 'a source that shared code with its client would share its mistakes',
  },
  'src/reader.ts': { may: [...CORE, 'src/report.ts'], why: 'readers see the published files alone' },
  'src/report.ts': { may: CORE, why: 'a report is a file of SQL' },
  'src/schedule.ts': { may: CORE, why: 'due slots are a pure function' },
  'src/': { may: CORE, why: 'the core stands on nothing but itself' },
};

function areaOf(path: string): string {
  const fitting = Object.keys(AREAS).filter((area) => path.startsWith(area));
  return fitting.sort((a, b) => b.length - a.length)[0] ?? 'src/';
}

describe('layers', () => {
  it('the test sees the source', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.flatMap((source) => source.imports).length).toBeGreaterThan(100);
  });

  it.each(Object.entries(AREAS))('%s imports only what it may', (area, { may, why }) => {
    const allowed = [
      ...may,
      ...(area.endsWith('/') && area !== 'src/' ? [area] : []),
      ...(area === 'src/config' ? [area] : []),
    ];
    const breaches = sources
      .filter((source) => areaOf(source.path) === area)
      .flatMap(({ path, imports }) => imports.map((target) => ({ path, target })))
      .filter(({ target }) => !allowed.some((prefix) => target.startsWith(prefix)))
      .map(({ path, target }) => `${path} imports ${target}: ${area} may not, because ${why}`);
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

  it('the sandbox is imported by its command, the demo and tests alone: it is not in the way of a real run', () => {
    const users = sources.filter(
      ({ path, imports }) =>
        !path.startsWith('src/sandbox/') && imports.some((target) => target.startsWith('src/sandbox/')),
    );
    const allowed = ['src/commands/demo.ts', 'src/commands/sandbox.ts'];
    expect(users.map(({ path }) => path).filter((path) => !allowed.includes(path))).toEqual([]);
  });

  it('no circle of imports: what runs first would depend on who asks first', () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
      if (done.has(path) || trail.includes(path)) return;
      for (const target of byPath.get(path)?.values ?? []) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const { path } of sources) visit(path, []);
    expect(circles).toEqual([]);
  });
});

describe('where the outside world is touched', () => {
  const offenders = (pattern: RegExp, allowed: readonly string[]): string[] =>
    sources
      .filter(({ path, text }) => pattern.test(text) && !allowed.some((prefix) => path.startsWith(prefix)))
      .map(({ path }) => path);

  it('the console is never used: commands print to the streams they are handed', () => {
    expect(offenders(/\bconsole\./, [])).toEqual([]);
  });

  it('environment, arguments, working directory and exit are read in cli.ts alone', () => {
    expect(offenders(/\bprocess\.(env|argv|cwd|exit|stdout|stderr|on)\b/, ['src/cli.ts'])).toEqual([]);
  });

  it('the clock and chance are read in runtime.ts alone (the sandbox has its own)', () => {
    expect(offenders(/\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(/, ['src/runtime.ts', 'src/sandbox/'])).toEqual([]);
  });

  it('the KQL parser is loaded by the sandbox alone: it is an optional package', () => {
    const users = sources.filter(({ packages }) => packages.some((name) => name.startsWith('@kusto/')));
    expect(users.map(({ path }) => path).filter((path) => !path.startsWith('src/sandbox/'))).toEqual([]);
  });
});

describe('promises', () => {
  it('test/INVARIANTS.md names the promises and only test files that exist', () => {
    const text = readFileSync(join(ROOT, 'test/INVARIANTS.md'), 'utf8');
    expect(text.match(/^\d+\. \*\*/gm)).toHaveLength(12);
    const named = [...text.matchAll(/`([\w/-]+\.test\.ts)`/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(join(ROOT, 'test', path)))).toEqual([]);
  });
});

describe('form', () => {
  it('no file is longer than 400 lines: what grows past that hides two decisions', () => {
    const long = [...sources, ...readSources('test')]
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it('no file is a drawer: a name says which decision the file hides', () => {
    const drawers = /\/(utils?|helpers?|managers?|services?|common|misc)\.ts$/;
    expect(sources.map(({ path }) => path).filter((path) => drawers.test(path))).toEqual([]);
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
