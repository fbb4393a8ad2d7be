/** What is to be done next: after `mirror verify`, and in former mirrors before and after a purge. */
import { expect, it } from 'vitest';
import type { MirrorCheck } from '../../src/model/mirror-report.ts';
import { formerMirrorsText, mirrorsBeforePurgeText, verifySummary } from '../../src/output/mirror.ts';

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

it('a former mirror is named with the variables of a push, and what is not known of them', () => {
  const mirrors = {
    formerMirrors: [
      { to: 's3://b/x', endpoint: 'https://a.example' },
      { to: 's3://b/x' },
      { to: 's3://b/y', mayBeConfigured: true as const },
      { to: '/mnt/old nas' },
    ],
    mirrorsOfOldShards: [{ to: 's3://b/x/shards/0-of-2', endpoint: 'https://a.example' }],
  };
  const unknown = 'and its INSIGHTS_MIRROR_ENDPOINT, which an earlier version did not record';
  const after = formerMirrorsText(mirrors, 'lyon');
  expect(after.split('\n').filter((line) => line.startsWith('  '))).toEqual([
    '  INSIGHTS_MIRROR_TO=s3://b/x INSIGHTS_MIRROR_ENDPOINT=https://a.example',
    `  INSIGHTS_MIRROR_TO=s3://b/x ${unknown}`,
    `  INSIGHTS_MIRROR_TO=s3://b/y ${unknown} and may be that of the configuration`,
    "  INSIGHTS_MIRROR_TO='/mnt/old nas'",
    '  s3://b/x/shards/0-of-2 at https://a.example',
  ]);
  expect(after).not.toContain('After the purge');
  expect(mirrorsBeforePurgeText(mirrors, 'lyon')).toContain('After the purge, for each that still exists, run');
  expect(formerMirrorsText({ formerMirrors: [], mirrorsOfOldShards: [] })).toBe('');
});
