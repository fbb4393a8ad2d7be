import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { sandboxCommand } from '../../src/commands/sandbox.ts';
import { actionSchema } from '../actions.ts';
import { LIMIT_MODES } from '../answer.ts';
import { faultRules } from '../faults.ts';
import { scenarioSchema } from '../scenario.ts';

const page = await readFile(new URL('../../docs/sandbox.md', import.meta.url), 'utf8');

function section(title: string): string {
  return page.split(/^## /m).find((part) => part.startsWith(title)) ?? '';
}

function examples(title: string): unknown[] {
  return [...section(title).matchAll(/```json\n([^`]*)```/g)].map(([, text = '']): unknown => JSON.parse(text));
}

describe('docs/sandbox.md', () => {
  it('lists every flag of the command, and no other', () => {
    const io = {
      stdout: new PassThrough(),
      stderr: new PassThrough(),
      env: {},
      cwd: '.',
      onStop: () => () => undefined,
      exit: () => undefined,
    };
    const flags = sandboxCommand({ io, exitCode: 0 }).options.map((option) => option.long);
    const documented = [...section('Flags').matchAll(/--[a-z][a-z-]+/g)].map(([flag]) => flag);
    expect(new Set(documented)).toEqual(new Set(flags));
  });

  it('lists every limit mode, every reply of a fault rule and every action', () => {
    for (const mode of LIMIT_MODES) expect(section('Limits')).toContain(`| \`${mode}\``);
    for (const { shape } of faultRules.element.shape.reply.options) {
      expect(section('Fault rules')).toContain(`| \`${shape.kind.value}\``);
    }
    for (const { shape } of actionSchema.options) expect(section('Actions')).toContain(`| \`${shape.action.value}\``);
  });

  it('shows fault rules and a scenario that are valid', () => {
    expect(examples('Fault rules').map((example) => faultRules.safeParse(example).success)).toEqual([true]);
    expect(examples('Actions').map((example) => scenarioSchema.safeParse(example).success)).toEqual([true]);
  });
});
