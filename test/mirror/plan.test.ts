/** What a push decides, without any store. */
import { assert, constantFrom, dictionary, integer, property, string, uniqueArray } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MirrorTakenError } from '../../src/kernel/errors.ts';
import { isSameSnapshot, requireWriter, withPush, type MirrorHead, type MirrorRecord } from '../../src/mirror/head.ts';
import { planRemovals, planUploads } from '../../src/mirror/plan.ts';
import { mirrorFormOf, parseMirrorPlace, showMirrorPlace } from '../../src/model/mirror-address.ts';

const NOW = Date.parse('2026-11-30T12:00:00Z');
const HOUR = 3_600_000;
const file = (name: string, sha256 = `sha of ${name}`, bytes = 10) => ({ name, bytes, sha256 });

describe('uploads', () => {
  it.each([
    ['is missing where there is nothing', undefined, undefined, false, 'missing'],
    ['is there with the right size and checksum', { bytes: 10 }, 'right', true, 'there'],
    ['must be looked up where no manifest of the mirror names it', { bytes: 10 }, undefined, false, 'unproven'],
    ['is there where the stored checksum is right', { bytes: 10, sha256: 'right' }, undefined, false, 'there'],
    ['replaces one that no snapshot needs', { bytes: 10, sha256: 'other' }, undefined, false, 'missing'],
    ['replaces one of another size that no snapshot needs', { bytes: 9 }, undefined, false, 'missing'],
    ['replaces one that was damaged in the mirror', { bytes: 9 }, 'right', true, 'missing'],
    ['conflicts with one that a snapshot needs', { bytes: 10 }, 'other', true, 'conflicts'],
    ['conflicts with one of another size that a snapshot needs', { bytes: 9 }, 'other', true, 'conflicts'],
  ] as const)('a file %s', (_name, held, proven, isNeeded, expected) => {
    const plan = planUploads(
      [file('x', 'right')],
      new Map(held ? [['x', held]] : []),
      new Map(proven === undefined ? [] : [['x', proven]]),
      new Set(isNeeded ? ['x'] : []),
    );
    const found = Object.entries(plan).flatMap(([kind, files]) => (files.length > 0 ? [kind] : []));
    expect(found).toEqual(expected === 'there' ? [] : [expected]);
  });
});

describe('removals', () => {
  const isOwn = (name: string): boolean => name.startsWith('store/');

  it('begin when no snapshot needs an object, and are due after the grace period', () => {
    const before = { 'store/old': new Date(NOW - 24 * HOUR).toISOString(), 'store/gone': new Date(0).toISOString() };
    const plan = planRemovals(['store/a', 'store/old', 'store/new', 'notes.txt'], new Set(['store/a']), isOwn, before, NOW, 24 * HOUR); // oxfmt-ignore
    expect(plan.due).toEqual(['store/old']);
    expect(plan.superseded).toEqual({ 'store/old': before['store/old'], 'store/new': new Date(NOW).toISOString() });
  });

  it('start again where the time of the record is in the future', () => {
    const before = { 'store/x': new Date(NOW + HOUR).toISOString(), 'store/y': 'no time' };
    const plan = planRemovals(['store/x', 'store/y'], new Set(), isOwn, before, NOW, HOUR);
    expect([plan.due, Object.values(plan.superseded)]).toEqual([[], Array(2).fill(new Date(NOW).toISOString())]);
  });

  it('never touch what is kept or what only others write, whatever the record says', () => {
    const name = constantFrom<string[]>('store/a', 'store/b', 'store/c', 'other/a', 'mirror.json');
    assert(
      property(uniqueArray(name), uniqueArray(name), dictionary(name, string()), integer({ min: 0, max: HOUR }), (held, kept, before, grace) => {
        const { due, superseded } = planRemovals(held, new Set(kept), isOwn, before, NOW, grace);
        expect(due.every((each) => held.includes(each) && !kept.includes(each) && isOwn(each) && each in superseded)).toBe(true);
      }),
    );
  }); // oxfmt-ignore
});

describe('the writer of a mirror', () => {
  const head = (writer: string, snapshot: number, publishedAt = 't'): MirrorHead => ({ format: 1, writer, snapshot, publishedAt, run: '', pushedAt: '', conditional: true, state: [], superseded: {} }); // oxfmt-ignore

  it.each([
    ['its own mirror', head('me', 2), true],
    ['a mirror that it has only claimed', head('me', 0), true],
    ['the mirror of another data directory', head('other', 2), false],
    ['a mirror that a copy of it has written', head('me', 3), false],
    ['a mirror that a copy of it has written with the same number', head('me', 2, 'later'), false],
  ])('writes %s or is refused', (_name, found, isAllowed) => {
    const record = withPush({ writer: 'me', pushes: [], mirrors: [] }, { snapshot: 2, publishedAt: 't' });
    const exitCode = (): unknown => {
      try {
        return requireWriter({ to: 's3://b' }, found, record);
      } catch (error) {
        return error instanceof MirrorTakenError && error.exitCode;
      }
    };
    expect(exitCode()).toBe(isAllowed ? undefined : 16);
  });

  it('writes a mirror again that it left a thousand pushes ago, and is refused where a copy of it has written since', () => {
    const [left, place] = [{ snapshot: 1, publishedAt: 't' }, { to: 's3://former' }];
    let record: MirrorRecord = { writer: 'me', pushes: [], mirrors: [{ ...place, done: left }] };
    for (let snapshot = 1; snapshot < 1200; snapshot++) record = withPush(record, { snapshot, publishedAt: 't' });
    const again = (found: MirrorHead): void => requireWriter(place, found, record);
    expect(() => again(head('me', 1))).not.toThrow();
    expect(() => again(head('me', 2))).toThrow(MirrorTakenError);
  });

  it('remembers its last pushes once each', () => {
    let record = withPush({ writer: 'me', pushes: [], mirrors: [] }, { snapshot: 1, publishedAt: 'a' });
    for (let snapshot = 2; snapshot < 1200; snapshot++)
      record = withPush(withPush(record, { snapshot, publishedAt: 'a' }), { snapshot, publishedAt: 'a' });
    expect(record.pushes).toHaveLength(1000);
    expect(isSameSnapshot(record.pushes.at(-1) ?? head('', 0), { snapshot: 1199, publishedAt: 'a' })).toBe(true);
  });
});

describe('an address', () => {
  it.each(['s3://bucket', 's3://bucket/a/b', 'gs://my.bucket/tenant=1', 'az://container/a b'])('%s is read', (text) => {
    const place = parseMirrorPlace(text);
    expect(place && showMirrorPlace(place)).toBe(text);
  });

  it('with a slash at its end is the one without', () => {
    expect(parseMirrorPlace('s3://bucket/a/')).toEqual(parseMirrorPlace('s3://bucket/a'));
    expect(parseMirrorPlace('s3://bucket/')).toEqual({ kind: 's3', bucket: 'bucket', prefix: '' });
  });

  it.each(['', ' ', ' s3://bucket/x', '/mnt/nas ', '~/x', 's3://', 'az://c1/x', 's3://B/x', 's3://k:s@bucket/x', 's3://bucket//x', 's3://bucket/../x', 'ftp://bucket/x', 's3://bucket/x?y'])(
    '%j is refused', (text) => {
      expect(parseMirrorPlace(text)).toBeUndefined();
    },
  ); // oxfmt-ignore

  it.each([
    ['az://c/x', '3 to 63 characters'],
    ['s3://my bucket/x', '3 to 63 characters'],
    ['s3://bucket/a//b', 'between single slashes'],
    ['s3://bucket/é', 'letters without accents'],
    [' /mnt/nas', 'without spaces around it'],
    ['ftp://bucket/x', 'or a folder'],
  ])('%j is refused with what is allowed', (text, form) => {
    expect(mirrorFormOf(text)).toContain(form);
  });
});
