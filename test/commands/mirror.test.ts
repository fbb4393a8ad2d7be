/** The mirror as its operator sees it: the check of `doctor`, metrics, and what a purge leaves of a tenant. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { bytesBelow } from '../pipeline/support/world.ts';
import { openStage, type Stage } from '../support/shell.ts';

let sandbox: Sandbox;
let stage: Stage;
let mirror: string;
let textfile: string;

beforeAll(async () => {
  const source = { rows: 60, days: 1, seed: 4, now: '2026-11-01T00:30:00Z', frozen: true, rate: 0, memory: true };
  sandbox = await startSandbox({ ...source, tenants: ['paris', 'lyon'] });
  stage = await openStage();
  mirror = join(stage.folder, 'mirror');
  textfile = join(stage.folder, 'insights.prom');
});
afterAll(async () => {
  await sandbox.close();
  await stage[Symbol.asyncDispose]();
});

const environment = (tenant: string): Record<string, string> => ({
  INSIGHTS_BASE_URL: sandbox.url,
  INSIGHTS_TENANT: tenant,
  INSIGHTS_API_KEY: sandbox.keyOf(tenant),
  INSIGHTS_CALLS_PER_MINUTE: '0',
  INSIGHTS_MIRROR_TO: mirror,
  INSIGHTS_HEALTH_TEXTFILE: textfile,
  INSIGHTS_LAKE_MARTS: 'false',
  INSIGHTS_LAKE_CHECKS: 'false',
});
const checks = z.object({
  machine: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string(), hint: z.string().optional() })),
});

async function mirrorCheck(more: Readonly<Record<string, string>> = {}): Promise<[code: number, check: unknown]> {
  const { code, out } = await stage.run(['doctor', '--max-calls', '2', '--json'], { ...environment('paris'), ...more });
  return [code, checks.parse(JSON.parse(out)).machine.find(({ name }) => name === 'mirror')];
}

const mirroredAt = async (): Promise<number> =>
  Number(/^insights_etl_mirrored_timestamp_seconds (\S+)$/m.exec(await readFile(textfile, 'utf8'))?.[1]);

async function objects(): Promise<string[]> {
  return (await readdir(mirror, { recursive: true })).toSorted();
}

it('doctor says what the mirror holds, and leaves nothing in it', async () => {
  expect(await mirrorCheck()).toEqual([EXIT.ok, { name: 'mirror', ok: true, detail: `${mirror} can be read and written, and holds no snapshot yet` }]); // oxfmt-ignore
  for (const tenant of ['lyon', 'paris']) expect(await stage.run(['run'], environment(tenant))).toMatchObject({ code: EXIT.ok }); // oxfmt-ignore
  const before = await objects();
  expect(await mirrorCheck()).toEqual([EXIT.ok, { name: 'mirror', ok: true, detail: expect.stringContaining('holds snapshot 2, pushed 20') }]); // oxfmt-ignore
  expect(await objects()).toEqual(before);
});

it('the metrics of a run have the time when the mirror was last up to date, also if the next push fails', async () => {
  const before = await mirroredAt();
  expect(before).toBeGreaterThan(1_700_000_000);
  await rm(mirror, { recursive: true });
  await writeFile(mirror, 'a file where the folder should be');
  expect(await stage.run(['run'], environment('paris'))).toMatchObject({ code: EXIT.mirror });
  expect(await mirroredAt()).toBe(before);
  expect(await mirrorCheck()).toEqual([EXIT.mirror, { name: 'mirror', ok: false, detail: 'The folder of the mirror, or one above it, is a file or a link that leads nowhere.', hint: expect.stringContaining('mounted') }]); // oxfmt-ignore
  await rm(mirror);
});

it('a mirror that is gone is not filled again unless it is asked for', async () => {
  const before = await mirroredAt();
  const gone = `The mirror ${mirror} is gone: it held snapshot 2 of 20`;
  // As a disk that is not mounted.
  await mkdir(mirror);
  for (const command of [['run'], ['mirror', 'push'], ['mirror', 'status'], ['mirror', 'verify']]) {
    const { code, err } = await stage.run(command, environment('paris'));
    expect([command, code, err]).toEqual([command, EXIT.mirror, expect.stringContaining(gone)]);
  }
  expect(await mirrorCheck()).toMatchObject([EXIT.mirror, { ok: false, detail: expect.stringContaining(gone), hint: expect.stringContaining('mirror push --take-over') }]); // oxfmt-ignore
  expect(await objects()).toEqual([]);
  expect(await stage.run(['mirror', 'push', '--take-over'], environment('paris'))).toMatchObject({ code: EXIT.ok });
  expect(await stage.run(['run'], environment('paris'))).toMatchObject({ code: EXIT.ok });
  expect(await mirroredAt()).toBeGreaterThan(before);
});

it('a tenant that was purged is in no object of the mirror, also if the push after the purge fails', async () => {
  expect(await bytesBelow(mirror)).toContain('lyon');
  const former = join(stage.folder, 'former mirror');
  expect(await stage.run(['mirror', 'push'], { ...environment('paris'), INSIGHTS_MIRROR_TO: former })).toMatchObject({ code: EXIT.ok }); // oxfmt-ignore
  const record = async (): Promise<unknown> => JSON.parse(await readFile(join(stage.folder, 'data', 'mirrored.json'), 'utf8')); // oxfmt-ignore
  const dry = await stage.run(['tenant', 'remove', 'lyon', '--dry-run'], environment('paris'));
  expect(dry.out).toContain(`After the purge, for each that still exists, run \`insights-etl mirror push\` with these variables and the credentials of its store, which then deletes it there:\n  INSIGHTS_MIRROR_TO='${former}'\n`); // oxfmt-ignore
  const path = join(stage.folder, 'data', 'mirrored.json');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"mirrors": [', '"mirrors": [{ "to": "s3://lake" },'));
  const unknown = await stage.run(['tenant', 'remove', 'lyon', '--dry-run'], environment('paris'));
  expect(unknown.out).toContain('  INSIGHTS_MIRROR_TO=s3://lake and its INSIGHTS_MIRROR_ENDPOINT, which an earlier version did not record\n'); // oxfmt-ignore
  await writeFile(path, text);
  await rename(mirror, `${mirror}-away`);
  await writeFile(mirror, 'a file where the folder should be');
  const purge = await stage.run(['tenant', 'remove', 'lyon', '--purge', '--json'], environment('paris'));
  expect(purge.code).toBe(EXIT.mirror);
  const failed = { tenant: 'lyon', dryRun: false, formerMirrors: [{ to: former }], mirror: { error: { failure: 'mirror' } } }; // oxfmt-ignore
  expect(JSON.parse(purge.out)).toMatchObject({ ...failed, found: true });
  // Nothing here names the tenant any more, and the purge can be run again, as after one that was killed in its push.
  const again = await stage.run(['tenant', 'remove', 'lyon', '--purge', '--json'], environment('paris'));
  expect([again.code, JSON.parse(again.out)]).toEqual([EXIT.mirror, expect.objectContaining({ found: false, rows: 0, formerMirrors: failed.formerMirrors })]); // oxfmt-ignore
  const asText = await stage.run(['tenant', 'remove', 'lyon', '--purge'], environment('paris'));
  expect(asText.out).toContain(`nothing of a tenant "lyon"; a purge before this one is still due in a mirror\nThese former mirrors may still hold a tenant that was purged.`); // oxfmt-ignore
  expect([asText.code, asText.err]).toEqual([EXIT.mirror, expect.stringContaining('The folder of the mirror')]);
  await rm(mirror);
  await rename(`${mirror}-away`, mirror);
  expect(await mirrorCheck()).toEqual([EXIT.ok, { name: 'mirror', ok: true, detail: expect.stringMatching(/holds snapshot 2, pushed .*; this lake has snapshot 3 of/), hint: expect.stringContaining('mirror push') }]); // oxfmt-ignore
  // What a push that was killed has left.
  await mkdir(join(mirror, '.uploads'), { recursive: true });
  await writeFile(join(mirror, '.uploads', 'left'), 'rows of lyon');
  const push = await stage.run(['publish', '--json'], environment('paris'));
  expect([push.code, JSON.parse(push.out)]).toMatchObject([
    EXIT.ok,
    { mirror: { mirror, snapshot: expect.any(Number) } },
  ]);
  expect(await bytesBelow(mirror)).not.toContain('lyon');
  expect((await objects()).join(' ')).not.toContain('lyon');
  // What is due at the former mirror stays due, and is done by a push there.
  expect(await bytesBelow(former)).toContain('lyon');
  expect(await record()).toMatchObject({ mirrors: [{ to: former, purgeDue: true }, { to: mirror }] });
  expect(await formerNamed()).toEqual([former, former, expect.stringContaining(former), former]);
  const repeated = await stage.run(['tenant', 'remove', 'lyon', '--purge', '--json'], environment('paris'));
  expect([repeated.code, JSON.parse(repeated.out)]).toMatchObject([EXIT.ok, { found: false, formerMirrors: [{ to: former }], mirror: { mirror } }]); // oxfmt-ignore
  const late = await stage.run(['mirror', 'push'], { ...environment('paris'), INSIGHTS_MIRROR_TO: former });
  expect(late.code).toBe(EXIT.ok);
  expect(await bytesBelow(former)).not.toContain('lyon');
  // From now on, readers have their grace period again.
  expect(JSON.stringify(await record())).not.toContain('purgeDue');
  expect(await formerNamed()).toEqual([undefined, undefined, undefined, undefined]);
  expect(await stage.run(['tenant', 'remove', 'lyon', '--purge'], environment('paris'))).toMatchObject({ code: EXIT.config }); // oxfmt-ignore
});

/** The former mirror that `mirror status` (text, JSON), `mirror status` without a mirror, and `doctor` name. */
async function formerNamed(): Promise<unknown[]> {
  const { INSIGHTS_MIRROR_TO: _, ...withoutMirror } = environment('paris');
  const text = await stage.run(['mirror', 'status'], environment('paris'));
  const status = await stage.run(['mirror', 'status', '--json'], environment('paris'));
  const none = await stage.run(['mirror', 'status'], withoutMirror);
  const named = z.object({ purgeDue: z.object({ formerMirrors: z.array(z.object({ to: z.string() })) }) });
  const { code, out } = await stage.run(['doctor', '--max-calls', '2', '--json'], withoutMirror);
  const check = checks.parse(JSON.parse(out)).machine.find(({ name }) => name === 'former mirror');
  expect([code, none.code, check?.ok ?? true]).toEqual([EXIT.ok, EXIT.config, true]);
  return [
    /\n {2}INSIGHTS_MIRROR_TO='(.*)'\n/.exec(text.out)?.[1],
    named.parse(JSON.parse(status.out)).purgeDue.formerMirrors[0]?.to,
    /Former mirrors may still hold a tenant that was purged: (.*)\. `/s.exec(none.err)?.[1],
    /`insights-etl mirror push` with INSIGHTS_MIRROR_TO='(.*)'\. If it no longer exists, run `insights-etl mirror forget '\1'`/.exec(check?.hint ?? '')?.[1], // oxfmt-ignore
  ];
}

it('a former mirror that no longer exists is named until the operator says that it is gone', async () => {
  const former = join(stage.folder, 'former mirror');
  await stage.run(['run'], environment('lyon'));
  await stage.run(['mirror', 'push'], { ...environment('paris'), INSIGHTS_MIRROR_TO: former });
  await rm(former, { recursive: true });
  const purge = await stage.run(['tenant', 'remove', 'lyon', '--purge'], environment('paris'));
  expect([purge.code, purge.out]).toEqual([EXIT.ok, expect.stringContaining(`INSIGHTS_MIRROR_TO='${former}'\nFor each that no longer exists: \`insights-etl mirror forget`)]); // oxfmt-ignore
  const push = await stage.run(['mirror', 'push'], { ...environment('paris'), INSIGHTS_MIRROR_TO: former });
  expect([push.code, push.err.replaceAll(/\s+/g, ' ')]).toEqual([EXIT.mirror, expect.stringContaining('`insights-etl mirror forget` takes it out of the record')]); // oxfmt-ignore
  expect((await formerNamed())[0]).toBe(former);
  const wrong = await stage.run(['mirror', 'forget', mirror], environment('paris'));
  expect([wrong.code, wrong.err]).toEqual([EXIT.config, expect.stringContaining('No former mirror is recorded')]);
  const forgotten = await stage.run(['mirror', 'forget', former, '--json'], environment('paris'));
  expect([forgotten.code, JSON.parse(forgotten.out)]).toEqual([EXIT.ok, { forgotten: { to: former } }]);
  expect(await formerNamed()).toEqual([undefined, undefined, undefined, undefined]);
  expect(await stage.run(['run'], environment('paris'))).toMatchObject({ code: EXIT.ok });
});

it('doctor fails for a mirror that another data directory writes, and writes nothing there', async () => {
  const before = await objects();
  const found = await mirrorCheck({ INSIGHTS_DATA_DIR: join(stage.folder, 'other') });
  expect(await objects()).toEqual(before);
  expect(found).toMatchObject([EXIT.mirrorTaken, { ok: false, detail: expect.stringContaining('belongs to another data directory') }]); // oxfmt-ignore
});
