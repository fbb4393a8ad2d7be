/** The completion script in a real bash: what it offers for a line that is being typed. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
let script: string;
beforeAll(async () => {
  stage = await openStage();
  script = (await stage.run(['completion', 'bash'])).out;
});
afterAll(() => stage[Symbol.asyncDispose]());

/** Words as bash splits the line; the last one is being typed. */
function offered(...words: readonly string[]): string[] {
  const line = ['insights-etl', ...words].map((word) => `'${word}'`).join(' ');
  const run = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _insights_etl; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', run], { encoding: 'utf8' }).trim().split('\n');
}

describe('the completion of bash', () => {
  it('knows commands, subcommands and flags', () => {
    expect(offered('que')).toEqual(['query']);
    expect(offered('config', 'sh')).toEqual(['show']);
    expect(offered('backfill', '--ref')).toEqual(['--refetch']);
    expect(offered('--log-level', 'de')).toEqual(['debug']);
  });

  it('knows reports, checks and tables', () => {
    expect(offered('query', 'gross')).toEqual(['gross_installs']);
    expect(offered('export', '--report', 'net')).toEqual(['net_growth']);
    expect(offered('check', 'duplicate_id_')).toEqual(['duplicate_id_in_hour']);
    expect(offered('run', '--table', 'Logs', 'Ev')).toEqual(['Events']);
    expect(offered('query', 'churn', '--format', 'nd')).toEqual(['ndjson']);
  });

  it('knows the parameters of a report, and their values', () => {
    expect(offered('query', 'installs', '--param', 'gr')).toEqual(['grain=']);
    expect(offered('query', 'installs', '--param', 'grain', '=', 'q')).toEqual(['quarter']);
    expect(offered('query', 'installs', '--param', 'grain', '=', 'week', 'compare', '=')).toEqual(['previous', 'year']);
    expect(offered('query', 'attribution', '--param', 'by', '=', 'o')).toEqual(['origin']);
    expect(offered('export', '--report', 'scans', '--param', 'range', '=', 'last_m')).toEqual(['last_month']);
    expect(offered('query', 'freshness', '--param', 'gr')).toEqual(['']);
  });
});

describe('the completion of zsh and fish', () => {
  it('has the parameters of each report', async () => {
    const [zsh, fish] = [(await stage.run(['completion', 'zsh'])).out, (await stage.run(['completion', 'fish'])).out];
    expect(zsh).toMatch(/ {6}net_growth\) parameters=\(from=today .* grain=month .*\) ;;/);
    expect(fish).toMatch(/seen_subcommand_from net_growth; and .* -a 'from=today .* grain=month /);
  });
});

it.each([
  ['completion bash', 'prints a script'],
  ['status --prometheus', 'prints metrics'],
])('with --json, `%s` is refused: what it prints is no JSON', async (command, message) => {
  const { code, out } = await stage.run([...command.split(' '), '--json']);
  expect(code).toBe(2);
  expect(JSON.parse(out)).toMatchObject({ error: { failure: 'config', message: expect.stringContaining(message) } });
});
