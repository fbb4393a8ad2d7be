/** Commands in messages name the shard, and only those that need it. */
import { describe, expect, it } from 'vitest';
import { shardOfPlaces, withShardFlags } from '../../src/output/shard-flags.ts';

const SHARD = { index: 1, of: 2 };

describe('a text with commands', () => {
  it.each([
    ['Run `insights-etl repair`: it', 'Run `insights-etl repair --shard 1/2`: it'],
    ['`insights-etl verify --deep`, then `insights-etl run`', '`insights-etl verify --deep --shard 1/2`, then `insights-etl run --shard 1/2`'],
    ['`insights-etl tenant remove … --purge`', '`insights-etl tenant remove … --purge --shard 1/2`'],
    ['`insights-etl\nrun`', '`insights-etl\nrun --shard 1/2`'],
    ['`insights-etl run --shard 0/2`', '`insights-etl run --shard 0/2`'],
    ['`insights-etl reshard --from 2 --to 2`', '`insights-etl reshard --from 2 --to 2`'],
    ['`insights-etl tenant list`', '`insights-etl tenant list`'],
    ['`insights-etl run --help`', '`insights-etl run --help`'],
    ['`insights-etl publish --data-dir <folder>`', '`insights-etl publish --data-dir <folder>`'],
  ])('%j becomes %j', (text, completed) => {
    expect(withShardFlags(text, { shard: SHARD, dataDir: undefined })).toBe(completed);
  }); // oxfmt-ignore

  it('stays as it is without a shard, and names the data directory if it must', () => {
    expect(withShardFlags('`insights-etl run`', undefined)).toBe('`insights-etl run`');
    const flags = { shard: SHARD, dataDir: '/lake' };
    expect(withShardFlags('`insights-etl run`', flags)).toBe('`insights-etl run --shard 1/2 --data-dir /lake`');
    const own = '`insights-etl run --shard 0/2`, `insights-etl reshard --from 2 --to 3`';
    const complete =
      '`insights-etl run --shard 0/2 --data-dir /lake`, `insights-etl reshard --from 2 --to 3 --data-dir /lake`';
    expect(withShardFlags(own, flags)).toBe(complete);
    const none = { shard: undefined, dataDir: '/lake' };
    expect(withShardFlags(`\`insights-etl run\`, ${own}`, none)).toBe(`\`insights-etl run\`, ${complete}`);
  });
});

it('takes the shard from the places of an error', () => {
  expect(shardOfPlaces({ file: '/lake/shards/1-of-2/store/events/a.parquet' })).toEqual(SHARD);
  expect(shardOfPlaces({ table: 'Logs', folder: '/lake/shards/1-of-2' })).toEqual(SHARD);
  expect(shardOfPlaces({ folder: '/lake', file: 'shards/1-of-2/a' })).toBeUndefined();
});
