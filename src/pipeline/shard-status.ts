/** The last run and the runs that are going on, of a lake or of all its shards. */
import type { StatusReport } from '../model/report.ts';
import { showShard, type ShardStatus } from '../model/shard.ts';
import { shardsToRead } from '../query/shards.ts';
import { mergeLastRuns, readLastRun } from './last-run.ts';
import { readProgress } from './progress-file.ts';

type Runs = Pick<StatusReport, 'lastRun' | 'running' | 'shards'>;

/** Of a divided lake: the run that ended last, with what the last runs of all shards found. */
export async function readRuns(dataDir: string, nowMs: number): Promise<Runs> {
  const places = await shardsToRead(dataDir);
  if (places.length === 0) {
    const running = await readProgress(dataDir, nowMs);
    return { lastRun: await readLastRun(dataDir), ...(running ? { running } : {}) };
  }
  const runs = await Promise.all(
    places.map(async (place) => ({
      shard: showShard(place),
      lastRun: await readLastRun(place.dataDir),
      running: await readProgress(place.dataDir, nowMs),
    })),
  );
  const ended = runs.flatMap(({ lastRun }) => (lastRun ? [lastRun] : []));
  return {
    lastRun: mergeLastRuns(ended),
    shards: runs.map(({ shard, lastRun, running }): ShardStatus => ({
      shard,
      run: lastRun?.run,
      finishedAt: lastRun?.finishedAt,
      exitCode: lastRun?.exitCode,
      running: running?.run,
    })),
  };
}
