/** What the address says, and the whole periods that a range is made of. */
import { expect, it } from 'vitest';
import { periodsOf } from '../../dashboard/periods.ts';
import { parseState, rangeBefore, rangeOf, stateText } from '../../dashboard/state.ts';

const span = { id: 'acme', from: '2026-08-20', to: '2026-11-01', end: '2026-11-02' };
const rangeIn = (search: string) => rangeOf(parseState(search), span);

it('the address holds every filter, and leaves out what is not chosen', () => {
  const search = '?page=adoption&tenant=acme&range=90d&compare=year&grain=month&pass_type=gift+card&platform=apple';
  expect(stateText(parseState(search))).toBe(search);
  expect(stateText(parseState('?grain=hour&range=1y'))).toBe('?page=adoption&range=30d&compare=previous');
});

it('a range ends with the last period that is over; a custom one includes the whole of those at its ends', () => {
  expect(rangeIn('?range=7d')).toEqual({ from: '2026-10-25', to: '2026-11-01' });
  expect(rangeIn('?range=7d&grain=week')).toEqual({ from: '2026-10-19', to: '2026-10-26' });
  expect(rangeIn('?range=7d&grain=month')).toEqual({ from: '2026-10-01', to: '2026-11-01' });
  expect(rangeOf(parseState('?range=7d&grain=month'), { ...span, to: '2026-10-31' })).toEqual({
    from: '2026-09-01',
    to: '2026-10-01',
  });
  expect(rangeIn('?range=all&grain=week')).toEqual({ from: '2026-08-17', to: '2026-10-26' });
  const custom = 'range=custom&from=2026-10-14&to=2026-10-20';
  expect(rangeIn(`?${custom}&grain=week`)).toEqual({ from: '2026-10-12', to: '2026-10-26' });
  expect(rangeIn(`?${custom}&grain=month`)).toEqual({ from: '2026-10-01', to: '2026-11-01' });
  expect(rangeIn(`?page=proof&${custom}&grain=month`)).toEqual({ from: '2026-10-14', to: '2026-10-20' });
});

it('a range is compared with as many periods before, or with those of a year before', () => {
  const earlier = (search: string) => rangeBefore(parseState(search), rangeIn(search));
  expect(earlier('?range=all&grain=month')).toEqual({ from: '2026-05-01', to: '2026-08-01' });
  expect(earlier('?range=all&grain=month&compare=year')).toEqual({ from: '2025-08-01', to: '2025-11-01' });
  expect(earlier('?range=7d&grain=week&compare=year')).toEqual({ from: '2025-10-20', to: '2025-10-27' });
  expect(earlier('?range=7d&compare=none')).toBeNull();
  expect(periodsOf({ from: '2027-12-01', to: '2028-03-01' }, 'month')).toEqual([
    '2027-12-01',
    '2028-01-01',
    '2028-02-01',
  ]);
  expect(periodsOf({ from: '2028-02-28', to: '2028-03-01' }, 'day')).toEqual(['2028-02-28', '2028-02-29']);
});
