/** What the charts of campaigns and of survival by age show, from the rows of their marts. */
import { expect, it } from 'vitest';
import { ageRows, agesOf } from '../../dashboard/ages.ts';
import { campaignsOf } from '../../dashboard/campaigns.ts';

it('a campaign has the figures of the newest period that seven whole days have followed, and all of its notifications', () => {
  const row = (campaign: string, day: string, notifications: number, coverage = 'verified') => ({
    campaign,
    day,
    coverage,
    notifications,
    notified_passes: notifications,
    scanned_d1: 1,
    scanned_d7: 2,
  });
  const rows = [
    row('spring', '2026-10-02', 10),
    row('spring', '2026-10-09', 20),
    row('spring', '2026-10-30', 40, 'open'),
    row('new', '2026-10-29', 300, 'open'),
    row('new', '2026-10-30', 5, 'open'),
  ];
  expect(campaignsOf(rows)).toEqual([
    expect.objectContaining({ name: 'new', notifications: 305, period: '2026-10-29', isOpen: true, passes: 300 }),
    expect.objectContaining({ name: 'spring', notifications: 70, period: '2026-10-09', isOpen: false, passes: 20 }),
  ]);
  expect(campaignsOf(rows)[0]?.after).toEqual([
    { day: 1, week: 2 },
    { day: 0, week: 0 },
    { day: 0, week: 0 },
  ]);
});

it('survival by age adds up the cohorts that have reached each age, and no others', () => {
  const columns = ['day', 'cohort', 'alive_d1', 'alive_d7', 'survival_d7'];
  const rows = [
    { day: '2026-10-01', cohort: 10, alive_d1: 9, alive_d7: 6, survival_d7: 0.6 },
    { day: '2026-10-02', cohort: 30, alive_d1: 27, alive_d7: null, survival_d7: null },
  ];
  const now = agesOf(rows, columns);
  expect(now).toEqual([
    { days: 0, passes: 40, active: 40, share: 1 },
    { days: 1, passes: 40, active: 36, share: 0.9 },
    { days: 7, passes: 10, active: 6, share: 0.6 },
  ]);
  expect(ageRows(now, agesOf([], columns)).map((row) => row['before_share'])).toEqual([null, null, null]);
});
