/**
 * A typing error in any word that the program knows gets a suggestion, within a screen. The words come from the program's own
 * lists, so a new command, flag, report or key is tested without a change here.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, type Argument, type Option } from 'commander';
import { COMMANDS } from '../../src/commands/registry.ts';
import { reportError } from '../../src/commands/session.ts';
import { selectInstant, tableNamed } from '../../src/commands/select.ts';
import { mistakesIn } from '../../src/config/explain.ts';
import { configKeys } from '../../src/config/names.ts';
import { configSchema } from '../../src/config/schema.ts';
import { ConfigError, InsightsError } from '../../src/kernel/errors.ts';
import { TABLE_NAMES } from '../../src/model/tables.ts';
import { allParameters, findReport, listReports, parameterValues } from '../../src/query/report.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import { Collector, openStage, type Stage } from '../support/shell.ts';

/** Without the letter in its middle. */
function misspelt(word: string): string {
  const middle = Math.floor(word.length / 2);
  return word.slice(0, middle) + word.slice(middle + 1);
}

/** Words of three letters may be close to anything. */
const isLong = (word: string): boolean => word.length >= 4;

/** What a terminal of 24 lines and 80 columns shows of an error. */
function onScreen(error: unknown): string {
  const stderr = new Collector(true);
  stderr.columns = 80;
  reportError({ stdout: new Collector(), stderr }, error, {});
  return stderr.text;
}

function failure(action: () => unknown): InsightsError {
  try {
    action();
  } catch (error) {
    if (error instanceof InsightsError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

interface Words {
  readonly path: readonly string[];
  readonly command: Command;
}

/** Every command and subcommand. */
async function commands(): Promise<Words[]> {
  const { stdout, stderr } = { stdout: new Collector(), stderr: new Collector() };
  const io = { stdout, stderr, env: {}, cwd: '.', onStop: () => () => {}, exit: () => {} };
  const words = (path: readonly string[], command: Command): Words[] => [
    { path, command },
    ...command.commands.flatMap((inner) => words([...path, inner.name()], inner)),
  ];
  const found = await Promise.all(
    COMMANDS.map(async ({ name, load }) => words([name], await load({ io, exitCode: 0 }))),
  );
  return found.flat();
}

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** The words that are refused without a suggestion of the right one. */
async function unexplained(tries: readonly { argv: readonly string[]; meant: string }[]): Promise<string[]> {
  const found: string[] = [];
  for (const { argv, meant } of tries) {
    const { code, err } = await stage.run(argv);
    const [, , next = ''] = /^error: ([^]*?)\nnext: {2}([^]*)$/.exec(err) ?? [];
    if (code !== 2 || !/Did you mean/.test(next) || !next.includes(meant) || err.split('\n').length > 24)
      found.push(`${argv.join(' ')}: ${err}`);
  }
  return found;
}

describe('a misspelt word of the command line is answered with the right one', () => {
  it('for commands and subcommands', async () => {
    const tries = (await commands()).map(({ path }) => ({
      argv: [...path.slice(0, -1), misspelt(path.at(-1) ?? '')],
      meant: path.at(-1) ?? '',
    }));
    expect(tries.length).toBeGreaterThan(30);
    expect(await unexplained(tries)).toEqual([]);
  });

  it('for flags and their values, and the values of arguments', CAMPAIGN, async () => {
    const tries = (await commands()).flatMap(({ path, command }) => {
      const flags = command.options.map(({ long }: Option) => long ?? '').filter((long) => long.length >= 6);
      return [
        ...flags
          .filter((long) => !flags.includes(misspelt(long)))
          .map((long) => ({ argv: [...path, misspelt(long), 'x'], meant: long })),
        ...command.options.flatMap(({ long, argChoices = [] }: Option) =>
          argChoices.filter(isLong).map((word) => ({ argv: [...path, long ?? '', misspelt(word)], meant: word })),
        ),
        ...command.registeredArguments.flatMap(({ argChoices = [] }: Argument) =>
          argChoices.filter(isLong).map((word) => ({ argv: [...path, misspelt(word)], meant: word })),
        ),
      ];
    });
    expect(tries.length).toBeGreaterThan(150);
    expect(await unexplained(tries)).toEqual([]);
  });

  it('for reports, checks, their parameters and values', async () => {
    const reports = await listReports();
    for (const { name } of reports) {
      const error = await findReport(misspelt(name)).catch((reason: unknown) => reason);
      expect(onScreen(error)).toContain(`Did you mean "${name}"?`);
    }
    const tries = reports.flatMap((report) =>
      allParameters(report).flatMap(({ name, kind }) => [
        ...(isLong(name) ? [{ report, word: `${misspelt(name)}=x`, meant: name }] : []),
        ...(name === 'by' || !kind.includes('|') ? [] : kind.split('|'))
          .filter(isLong)
          .map((value) => ({ report, word: `${name}=${misspelt(value)}`, meant: value })),
      ]),
    );
    for (const { report, word, meant } of tries)
      expect(onScreen(failure(() => parameterValues(report, [word], { nowMs: 0 })))).toContain(`Did you mean "${meant}"?`); // oxfmt-ignore
    const { err } = await stage.run(['check', 'duplicate_d']);
    expect(err).toContain('Did you mean "duplicate_id"?');
  });
});

describe('a value in another form than the program reads is answered with the right form', () => {
  it.each([
    ['2026-1-5', '2026-01-05'],
    ['2026/01/31', '2026-01-31'],
    ['20260131', '2026-01-31'],
    ['31.1.2026', '2026-01-31'],
  ])('the date %s', async (text, meant) => {
    const report = await findReport('installs');
    expect(failure(() => selectInstant(text, '--from')).hint).toContain(`Did you mean "${meant}"?`);
    expect(failure(() => parameterValues(report, [`from=${text}`], { nowMs: 0 })).hint).toContain(`Did you mean "${meant}"?`); // oxfmt-ignore
  });

  it('time zones and tables', async () => {
    const report = await findReport('installs');
    const zone = (text: string): string | undefined => failure(() => parameterValues(report, [`zone=${text}`], { nowMs: 0 })).hint; // oxfmt-ignore
    expect(zone('Europe/Pariss')).toContain('Did you mean "Europe/Paris"?');
    expect(zone('New York')).toContain('Did you mean "America/New_York"?');
    for (const name of TABLE_NAMES)
      expect(failure(() => tableNamed(misspelt(name))).hint).toContain(`Did you mean "${name}"?`);
  });
});

describe('a mistake in the configuration', () => {
  const mistakes = (values: Record<string, unknown>): string[] =>
    mistakesIn(configSchema, values, []).mistakes.map(({ text, hint }) => `${text} ${hint}`);

  it('in the name of a key is answered with the right one', () => {
    const keys = configKeys().filter(({ path }) => isLong(path.at(-1) ?? '') && !path.some((name) => name.includes('[') || name === '*')); // oxfmt-ignore
    expect(keys.length).toBeGreaterThan(40);
    for (const { path } of keys) {
      const last = path.at(-1) ?? '';
      const values = path.slice(0, -1).toReversed().reduce<Record<string, unknown>>((inner, name) => ({ [name]: inner }), { [misspelt(last)]: 1 }); // oxfmt-ignore
      expect(mistakes(values).join('\n')).toContain(`Did you mean "${last}"?`);
    }
  });

  it('in a value is answered with the right one', () => {
    const found = mistakes({ schedule: { timeZone: 'Europe/Berln' }, tables: { Logs: { start: '2026/1/1' } } });
    expect(found.join('\n')).toContain('Did you mean "Europe/Berlin"?');
    expect(found.join('\n')).toContain('Did you mean "2026-01-01"?');
  });

  it('does not fill more than a screen, however many there are', () => {
    const values = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`unknown_key_${n}_${'x'.repeat(90)}`, 1]));
    const error = new ConfigError(mistakes(values).join('\n'), { hint: 'h'.repeat(3000), where: { file: 'f '.repeat(900) } });
    expect(onScreen(error).split('\n').length).toBeLessThanOrEqual(25);
  }); // oxfmt-ignore
});
