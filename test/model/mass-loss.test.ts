import { describe, expect, test } from 'vitest';
import { isMassLoss } from '../../src/model/mass-loss.ts';

const LIMIT = { maxShare: 0.2, minRows: 100 };

describe('a loss of rows is a mass loss', () => {
  test.each([
    { lost: 99, held: 99, is: false, why: 'fewer rows than minRows, even when all vanished' },
    { lost: 100, held: 100, is: true, why: 'exactly minRows' },
    { lost: 101, held: 101, is: true, why: 'more rows than minRows' },
    { lost: 200, held: 1000, is: false, why: 'exactly maxShare' },
    { lost: 201, held: 1000, is: true, why: 'more than maxShare' },
    { lost: 100, held: 500, is: false, why: 'exactly minRows and exactly maxShare' },
    { lost: 100, held: 499, is: true, why: 'exactly minRows and more than maxShare' },
  ])('$lost of $held rows: $is ($why)', ({ lost, held, is }) => {
    expect(isMassLoss(lost, held, LIMIT)).toBe(is);
  });

  test('at the first vanished row when both limits are 0, and never when nothing vanished', () => {
    expect(isMassLoss(1, 1000, { maxShare: 0, minRows: 0 })).toBe(true);
    expect(isMassLoss(0, 1000, { maxShare: 0, minRows: 0 })).toBe(false);
  });

  test('never when the whole share may vanish', () => {
    expect(isMassLoss(1000, 1000, { maxShare: 1, minRows: 0 })).toBe(false);
  });
});
