import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publish } from '../../src/load/publish/publish.ts';
import { event, load, metric, scratchLake, span } from '../load/support/lake.ts';
import type { Scratch } from '../load/support/lake.ts';
import { writeLake } from '../support/lake.ts';
import { openStage } from '../support/shell.ts';

let lake: Scratch;

function scans(date: string, properties: string): unknown[][] {
  return Array.from({ length: 30 }, (_, k) =>
    event(`${date}-${k}`, `${date}T10:00:00Z`, { type: 'Pass:Scanned', properties }),
  );
}

beforeAll(async () => {
  lake = await scratchLake();
  await load(lake, span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z'), scans('2026-07-01', '{"storeId":"PAR"}'));
  await load(lake, span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z'), [metric('m', '2026-07-01T10:00:00Z', '[{"apple":3}]')], { table: 'Metrics' }); // oxfmt-ignore
  await load(lake, span('2026-07-02T00:00:00Z', '2026-07-03T00:00:00Z'), scans('2026-07-02', '{"storeId":"PAR","kind":"qr"}'), { run: 'run-2' }); // oxfmt-ignore
  await publish(lake.ledger, { run: 'run-2', head: false });
});

afterAll(async () => {
  await lake[Symbol.asyncDispose]();
});

async function properties(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  await using stage = await openStage();
  return stage.run(['properties', '--data-dir', lake.dir, ...args]);
}

describe('properties', () => {
  it('lists the types, with the view of each', async () => {
    const { code, out } = await properties();
    expect(code).toBe(0);
    const lines = out.split('\n').map((line) => line.split(/ {2,}/).slice(1, 6).join(' | '));
    expect(lines).toContain('events | Pass:Scanned | event_pass_scanned | 60 | 2');
    expect(lines).toContain('metrics | active | metric_active | 0 | 1');
    expect((await properties('--table', 'Metrics')).out).not.toContain('Pass:Scanned');
    expect((await properties('--tenant', 'nobody')).out).not.toContain('Pass:Scanned');
  });

  it.each(['Pass:Scanned', 'pass.scanned', 'event_pass_scanned'])(
    'shows the paths of a type, named as %s',
    async (type) => {
      const { out } = await properties(type, '--json');
      expect(JSON.parse(out)).toMatchObject([
      { path: 'kind', inferred_type: 'VARCHAR', kinds: 'text', rows: 30, share: 0.5, first_seen: '2026-07-02' },
      { path: 'storeId', inferred_type: 'VARCHAR', rows: 60, share: 1, first_seen: '2026-07-01', last_seen: '2026-07-02' },
    ]); // oxfmt-ignore
      expect(out).not.toContain('PAR');
    },
  );

  it('shows the parts of a metric separately from its properties', async () => {
    expect(JSON.parse((await properties('active', '--json')).out)).toMatchObject([
      { path: 'value $', inferred_type: 'JSON' },
      { path: 'value apple', inferred_type: 'BIGINT', column_name: 'value_apple' },
    ]);
  });

  it('shows what has changed, and so does status', async () => {
    expect(JSON.parse((await properties('--drift', '--json')).out)).toMatchObject([
      { type: 'Pass:Scanned', change: 'new_path', path: 'kind', kind: 'text', since: '2026-07-02T10:00:00Z' },
    ]);
    await using stage = await openStage();
    lake.clock.now = Date.now();
    await lake.ledger.run(`update property_drift set found_at = now()`);
    await lake.ledger.run('delete from snapshots');
    await publish(lake.ledger, { run: 'run-2', head: false });
    const status: unknown = JSON.parse((await stage.run(['status', '--data-dir', lake.dir, '--json'])).out);
    expect(status).toMatchObject({ drift: [
      { tenant: 'acme', table: 'Events', type: 'Pass:Scanned', path: 'kind', change: 'new_path', kind: 'text', at: '2026-07-02T10:00:00Z' },
    ] }); // oxfmt-ignore
    expect((await stage.run(['status', '--data-dir', lake.dir])).out).toMatch(/Pass:Scanned +new path +kind +text/);
  });

  it('suggests a type for an unknown one', async () => {
    const { code, err } = await properties('Pass:Scaned');
    expect(code).toBe(2);
    expect(err).toContain('Did you mean "Pass:Scanned"?');
  });

  it('says what to do about a catalogue published by an older version', async () => {
    await using stage = await openStage();
    await writeLake(`${stage.folder}/data`, {});
    const { code, err } = await stage.run(['properties']);
    expect(code).toBe(2);
    expect(err).toContain('insights-etl run');
  });
});
