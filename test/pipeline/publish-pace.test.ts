import { describe, expect, it } from 'vitest';
import { createPublishPace } from '../../src/pipeline/publish-pace.ts';

describe('how often a long job publishes', () => {
  it('publishes after a minute, and then after nine times as long as a publish takes', async () => {
    let now = 5_000;
    const pace = createPublishPace({ monotonic: () => now });
    const publishFor = (ms: number) => pace.timed(async () => void (now += ms));
    expect(pace.waitMs()).toBe(60_000);
    now += 61_000;
    expect(pace.waitMs()).toBe(-1_000);
    await publishFor(500);
    expect(pace.waitMs()).toBe(60_000);
    now += 60_000;
    await publishFor(20_000);
    expect(pace.waitMs()).toBe(180_000);
  });

  it('also waits after a publish that fails', async () => {
    let now = 0;
    const pace = createPublishPace({ monotonic: () => now });
    now = 100_000;
    await expect(pace.timed(() => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
    expect(pace.waitMs()).toBe(60_000);
  });
});
