/** What `mirror verify` says to do next. */
import { expect, it } from 'vitest';
import type { MirrorCheck } from '../../src/model/mirror-report.ts';
import { verifySummary } from '../../src/output/mirror.ts';

const CHECK = { mirror: '/m', snapshot: 2, publishedAt: '2026-11-10T12:00:00.000Z', files: 3, bytes: 9, deep: false };

function textOf(...problems: MirrorCheck['problems'][number]['problem'][]): string {
  const found = problems.map((problem) => ({ object: `store/${problem}`, problem }));
  return verifySummary({ ...CHECK, problems: found, exitCode: 0 });
}

it('an object is to be deleted only if a push would take it for whole', () => {
  expect(textOf()).not.toContain('Next');
  expect(textOf('missing', 'size')).toContain('Next: run `insights-etl mirror push` on the machine');
  expect(textOf('missing', 'size')).not.toContain('delete');
  expect(textOf('missing', 'sha256')).toContain('delete the objects whose checksum differs; run');
  expect(textOf('foreign')).toContain('delete each `_delta_log` folder that another program has written to; run');
});
