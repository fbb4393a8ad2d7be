/** Jobs that run at the same time on connections of their own. */
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { asCount, asText } from '../../../src/load/ledger/cells.ts';
import { SHARED, openEngine } from '../../../src/load/ledger/engine.ts';
import { OutOfMemoryError } from '../../../src/load/ledger/engine-errors.ts';
import type { Engine, Lane, Patiently } from '../../../src/load/ledger/engine.ts';

async function engineWith(threads: number): Promise<Engine & AsyncDisposable> {
  const engine = await openEngine(':memory:', '', { memoryLimit: '256MB', threads });
  return { ...engine, [Symbol.asyncDispose]: () => engine.close() };
}

const THREADS = `select current_setting('threads')::int as n`;

describe.each([1, 2])('on %i threads, jobs', (threads) => {
  test('see the shared tables and what is set for the session, and their results come in order', async () => {
    await using engine = await engineWith(threads);
    await engine.set('set variable word = $1', ['hello']);
    await engine.run(`create table ${SHARED}.numbers as select 5 as n`);
    const sql = `select getvariable('word') || n || current_setting('TimeZone') as word from ${SHARED}.numbers`;
    const jobs = [30, 20, 10].map((ms, k) => async (lane: Lane) => {
      await setTimeout(ms);
      return `${(await lane.row(sql, { word: asText })).word} ${k}`;
    });
    expect(await engine.sideBySide(jobs)).toEqual(['hello5UTC 0', 'hello5UTC 1', 'hello5UTC 2']);
    expect(await engine.sideBySide([])).toEqual([]);
  });

  test('use one thread each, and the engine has its threads back afterwards', async () => {
    await using engine = await engineWith(threads);
    await engine.onAllThreads(async () => {
      const seen = await engine.sideBySide(
        [1, 2].map(() => (lane) => lane.onOneThread(() => lane.row(THREADS, { n: asCount }))),
      );
      expect(seen).toEqual([{ n: 1 }, { n: 1 }]);
      expect(await engine.row(THREADS, { n: asCount })).toEqual({ n: threads });
    });
  });

  test('are followed by one thread for small work, and by all threads for large work', async () => {
    await using engine = await engineWith(threads);
    const count = () => engine.row(THREADS, { n: asCount });
    const turns = [engine.exclusive(count), engine.onAllThreads(count), engine.exclusive(count)];
    expect(await Promise.all(turns)).toEqual([{ n: 1 }, { n: threads }, { n: 1 }]);
    await expect(engine.onAllThreads(() => engine.run('select nothing'))).rejects.toThrow('nothing');
    expect(await engine.exclusive(count)).toEqual({ n: 1 });
  });

  test('that fail end the work: no further job begins, and those that run are waited for', async () => {
    await using engine = await engineWith(threads);
    const begun: number[] = [];
    const jobs = [0, 1, 2, 3].map((k) => async (lane: Lane) => {
      begun.push(k);
      await setTimeout(k === 0 ? 0 : 20);
      await lane.run(k === 0 ? 'select nothing' : 'select 1');
      begun.push(k);
    });
    await expect(engine.sideBySide(jobs)).rejects.toThrow('nothing');
    expect(begun).toEqual(threads === 1 ? [0] : [0, 1, 1]);
    expect(await engine.row(THREADS, { n: asCount })).toEqual({ n: 1 });
  });
});

test('a job that runs out of memory is run again when the others have ended', async () => {
  await using engine = await engineWith(2);
  const runs: string[] = [];
  let running = 0;
  const jobs = ['a', 'b', 'c'].map((name) => async () => {
    running += 1;
    runs.push(`${name} with ${running}`);
    await setTimeout(10);
    const isShort = running > 1;
    running -= 1;
    if (isShort && name === 'a') throw new OutOfMemoryError();
    return name;
  });
  expect(await engine.sideBySide(jobs)).toEqual(['a', 'b', 'c']);
  expect(runs).toEqual(['a with 1', 'b with 2', 'c with 2', 'a with 1']);
});

test('a job that needs more memory than there is fails with that error', async () => {
  await using engine = await engineWith(2);
  const failing = (): Promise<string> => Promise.reject(new OutOfMemoryError());
  await expect(engine.sideBySide([failing, async () => 'b'])).rejects.toThrow(OutOfMemoryError);
});

describe('a job beside other work', () => {
  const failing = async (): Promise<never> => {
    await setTimeout(10);
    throw new Error('the job');
  };

  test.each([
    [2, ['job begins', 'job ends', 'work ends']],
    [1, ['work ends', 'job begins', 'job ends']],
  ])('runs at the same time if there are %i threads, and after it otherwise', async (threads, order) => {
    await using engine = await engineWith(threads);
    const seen: string[] = [];
    const job = async (lane: Lane): Promise<void> => {
      seen.push('job begins');
      await lane.run('create temp table of_lane as select 1 as n');
      await lane.release();
      seen.push('job ends');
    };
    const work = async (): Promise<string> => {
      await setTimeout(100);
      seen.push('work ends');
      return 'worked';
    };
    expect(await engine.beside(job, work)).toBe('worked');
    expect(seen).toEqual(order);
  });

  test('is waited for when the work fails, and the error is that of the work', async () => {
    await using engine = await engineWith(2);
    let isDone = false;
    const job = async (lane: Lane): Promise<void> => {
      await setTimeout(30);
      await lane.run('select 1');
      isDone = true;
    };
    await expect(engine.beside(job, () => Promise.reject(new Error('the work')))).rejects.toThrow('the work');
    expect(isDone).toBe(true);
    await expect(engine.beside(failing, () => Promise.reject(new Error('the work')))).rejects.toThrow('the work');
    await expect(engine.beside(failing, async () => 1)).rejects.toThrow('the job');
  });

  test('runs a step again after the work if it ran out of memory, and does not repeat what was before it', async () => {
    await using engine = await engineWith(2);
    const seen: string[] = [];
    let failures = 1;
    const job = async (_: Lane, patiently: Patiently): Promise<void> => {
      seen.push('first step');
      await patiently(async () => {
        seen.push('second step');
        if (failures-- > 0) throw new OutOfMemoryError();
      });
    };
    const work = async (): Promise<void> => {
      await setTimeout(20);
      seen.push('work');
    };
    await engine.beside(job, work);
    expect(seen).toEqual(['first step', 'second step', 'work', 'second step']);
    // A second failure is one, and so is a failure without work at the same time.
    failures = 2;
    await expect(engine.beside(job, work)).rejects.toThrow(OutOfMemoryError);
    failures = 1;
    await using narrow = await engineWith(1);
    await expect(narrow.beside(job, work)).rejects.toThrow(OutOfMemoryError);
  });

  test('has transactions of its own, while the work has one', async () => {
    await using engine = await engineWith(2);
    await engine.run('create table of_job (n integer); create table of_work (n integer)');
    const job = async (lane: Lane): Promise<void> => {
      await lane.transaction(() => lane.run('insert into of_job values (1)'));
      const failed = lane.transaction(async () => {
        await lane.run('insert into of_job values (2)');
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
    };
    await engine.transaction(async () => {
      await engine.run('insert into of_work values (1)');
      await engine.beside(job, () => engine.run('insert into of_work values (2)'));
    });
    const shape = { n: asCount };
    expect(await engine.rows('select n from of_job', shape)).toEqual([{ n: 1 }]);
    expect(await engine.rows('select n from of_work order by n', shape)).toEqual([{ n: 1 }, { n: 2 }]);
  });

  test('leaves one thread less to the work until one of them ends', async () => {
    await using engine = await engineWith(3);
    const threads = async (of: Pick<Lane, 'row'>): Promise<number> => (await of.row(THREADS, { n: asCount })).n;
    const seen: Record<string, number> = {};
    const job = async (lane: Lane): Promise<void> => {
      await setTimeout(50);
      seen['after the work'] = await threads(lane);
    };
    const work = async (): Promise<void> => {
      seen['at the same time'] = await threads(engine);
      await engine.onOneThread(async () => void (seen['on one'] = await threads(engine)));
    };
    await engine.onAllThreads(() => engine.beside(job, work));
    expect(seen).toEqual({ 'at the same time': 2, 'on one': 1, 'after the work': 3 });
    expect(await threads(engine)).toBe(1);
  });
});
