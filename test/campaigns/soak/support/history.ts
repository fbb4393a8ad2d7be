/**
 * One random history: things happen at the source and to the pipeline, one after the other, and at its end one run
 * without a fault must find its way back: everything verified, the lake equal to the model, nothing left behind.
 *
 * A kill is a copy of the data directory taken at that step, which then replaces it: byte for byte what a process
 * leaves behind that ends there and never comes back. Where the built program is given, real processes are started and
 * killed too.
 */
import { cpSync, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Config } from '../../../../src/config/config.ts';
import { loadConfig } from '../../../../src/config/config.ts';
import { EXIT, InsightsError } from '../../../../src/kernel/errors.ts';
import { parseInstant } from '../../../../src/kernel/instant.ts';
import { repairLake, verifyLake } from '../../../../src/pipeline/maintenance/inspect.ts';
import { runPipeline } from '../../../../src/pipeline/run.ts';
import type { RunRequest } from '../../../../src/pipeline/request.ts';
import { systemRuntime, type Runtime } from '../../../../src/kernel/runtime.ts';
import type { Sandbox } from '../../../../sandbox/sandbox.ts';
import { TABLE_NAMES } from '../../../../src/model/tables.ts';
import { skippedTime } from '../../../pipeline/support/world.ts';
import { damage, STORED, type Damage } from './damage.ts';
import { diskFault, watchedFiles, type Operation } from './disk.ts';
import { compareWithModel } from './judge.ts';
import type { ModelRow } from './model.ts';
import { runProcess, type Kill } from './process.ts';
import { DAY_MS, HOUR_MS, isAtSource, Source, START } from './source.ts';
import { NO_COUNT_CAP, ROTATION_DAYS, SETTINGS, type Life, type Step } from './steps.ts';

/** When the last runs of a history come, in minutes after noon: later than any run before, also under a clock that jumped ahead. */
const EVENING = 480;

/** The outcome of a run that only found hours expired. */
const LOST = `${EXIT.expired}: `;

/**
 * Lives through a history; throws what is wrong at its end. Returns how many steps of each kind really happened.
 * Steps with processes are passed over without `cli`, the built program.
 */
export async function live(sandbox: Sandbox, { steps, ending }: Life, cli?: string): Promise<Map<string, number>> {
  const history = new History(sandbox, await mkdtemp(join(tmpdir(), 'insights-soak-')), cli);
  try {
    await history.begin();
    for (const step of steps) await history.take(step);
    await history.end(ending);
    return history.happened;
  } finally {
    await rm(history.folder, { recursive: true, force: true });
  }
}

class History {
  readonly happened = new Map<string, number>();
  readonly folder: string;
  readonly #sandbox: Sandbox;
  readonly #source: Source;
  #moves = 0;
  /** How far the clock of the pipeline's machine is off. */
  #machineMs = 0;
  readonly #begunMs = performance.now();
  readonly #cli: string | undefined;

  constructor(sandbox: Sandbox, folder: string, cli: string | undefined) {
    this.#sandbox = sandbox;
    this.#source = new Source(sandbox);
    this.folder = folder;
    this.#cli = cli;
  }

  get #dataDir(): string {
    return join(this.folder, `data${this.#moves}`);
  }

  async begin(): Promise<void> {
    await this.#source.begin();
  }

  async take(step: Step): Promise<void> {
    if (isAtSource(step)) {
      const name = await this.#source.take(step);
      if (name !== undefined) this.#count(name);
      return;
    }
    switch (step.do) {
      case 'clock jump':
        await this.#jump(step.hours);
        break;
      case 'machine clock':
        this.#machineMs = step.hours * HOUR_MS;
        break;
      case 'run':
        await this.#run({ deep: step.deep, allowDeletes: step.allowDeletes });
        return;
      case 'backfill': {
        const from = parseInstant(new Date(START + (this.#source.day - step.days - 1) * DAY_MS).toISOString()) ?? 0n;
        await this.#run({ from, to: from + BigInt(step.length + 1) * 864_000_000_000n });
        break;
      }
      case 'verify':
        await this.#verify(step.deep);
        return;
      case 'kill':
        await this.#kill(step.at, { deep: step.deep });
        return;
      case 'process kill':
        await this.#killProcess(step);
        return;
      case 'second process':
        await this.#secondProcess(step.at);
        return;
      case 'disk':
        await this.#run({}, this.#failing(step));
        return;
      case 'change':
        await this.#run(
          {},
          this.#at(step.at, async () => {
            await this.#source.insert(
              step.table,
              this.#source.newRow(START + this.#source.day * DAY_MS - 5 * HOUR_MS + step.at * 1000, 1),
            );
            this.#count('changed under a run');
          }),
        );
        return;
      case 'damage':
        await this.#damage(step.what, step.pick);
        return;
      case 'repair':
        // Where nothing is loaded yet, there is nothing to repair: that is an error.
        if (!existsSync(join(this.#dataDir, 'state.duckdb'))) return;
        await repairLake(this.#config(), this.#runtime());
        break;
      case 'move':
      default:
        await this.#move();
    }
    this.#count(step.do);
  }

  /**
   * Runs without a fault, and what must be true after them. The form of the source's answers stays, and so does a cap if it leaves
   * anything to count.
   */
  async end(ending: Life['ending']): Promise<void> {
    await this.#sandbox.apply({ action: 'faults', rules: [] });
    const runs = ending === 'deep' ? 1 : ROTATION_DAYS;
    // Rotation goes by this machine's clock, too, and hours count as expired only when both clocks say so.
    this.#machineMs = 0;
    if (this.#source.rowCap === NO_COUNT_CAP) await this.#endUncounted();
    for (let run = 0; run < runs; run++) {
      await this.#source.setClock(run === 0 ? this.#source.day : this.#source.day + 1, EVENING);
      const outcome = await this.#run({ deep: ending === 'deep', allowDeletes: true });
      // What the source forgot unread is reported once.
      if (outcome !== 'ok' && !(run === 0 && outcome === LOST))
        throw new Error(`run ${run + 1} of the last ones ended with ${outcome}`);
    }
    this.#count(`end by ${ending}`);
    await compareWithModel(this.#dataDir, this.#source.model);
    // Under a smaller cap one call cannot count a whole table.
    if (this.#source.rowCap < 12) await this.#source.setRowCap(0);
    const calls = this.#sandbox.calls.length;
    const again = await this.#run({ deep: true }, undefined, (changed) => {
      if (changed) throw new Error('a run with nothing new changed something');
    });
    if (again !== 'ok') throw new Error(`the run after it ended with ${again}`);
    const extra = this.#sandbox.calls.length - calls - TABLE_NAMES.length;
    if (extra !== 0) throw new Error(`the run after it made ${extra} calls too many`);
  }

  /** A run that can count no hour must say so for each table that has one. */
  async #endUncounted(): Promise<void> {
    await this.#source.setClock(this.#source.day, EVENING);
    const failing = TABLE_NAMES.filter((table) => this.#source.model.hasHours(table));
    const why = failing.map((table) => `The source cannot count even a single hour of ${table}.`);
    const expected = failing.length === 0 ? 'ok' : `${EXIT.source}: ${why.join('; ')}`;
    const outcome = await this.#run({ deep: true, allowDeletes: true });
    if (outcome !== expected) throw new Error(`a run that can count no hour ended with ${outcome}, not ${expected}`);
    this.#count('uncountable');
    await this.#source.setRowCap(NO_COUNT_CAP + 1);
  }

  #count(name: string): void {
    this.happened.set(name, (this.happened.get(name) ?? 0) + 1);
  }

  /** The source's clock is ahead for one run. */
  async #jump(hours: number): Promise<void> {
    const edge = this.#source.nowMs - 45 * DAY_MS;
    const expires = ({ timestamp = '' }: ModelRow): boolean => Date.parse(timestamp) < edge + (hours + 1) * HOUR_MS;
    // A run that takes rows for expired which are not leaves them as they are: the model cannot say which.
    if (this.#source.model.rows('Logs').some(expires)) return;
    this.#source.model.nowMs = this.#source.nowMs + hours * HOUR_MS;
    await this.#sandbox.apply({ action: 'clock', set: new Date(this.#source.model.nowMs).toISOString() });
    await this.#run({});
    this.#source.model.nowMs = this.#source.nowMs;
    await this.#sandbox.apply({ action: 'clock', set: new Date(this.#source.nowMs).toISOString() });
  }

  get #values() {
    return { ...SETTINGS, baseUrl: this.#sandbox.url, dataDir: this.#dataDir };
  }

  get #env() {
    return { KEY: this.#sandbox.keyOf('demo') };
  }

  #config(): Config {
    return loadConfig({ file: false, env: this.#env, cwd: this.folder, flags: { values: this.#values, names: {} } });
  }

  #runtime(files?: Runtime['files'], onCommit?: Runtime['onCommit']): Runtime {
    return {
      ...systemRuntime(pino({ level: 'silent' })),
      ...skippedTime(),
      now: () => Math.trunc(this.#source.nowMs + this.#machineMs + performance.now() - this.#begunMs),
      ...(files ? { files } : {}),
      ...(onCommit ? { onCommit } : {}),
    };
  }

  /** Exit code as a word; fails on what no run may ever end with. */
  async #run(request: RunRequest, runtime = this.#runtime(), look?: (changed: boolean) => void): Promise<string> {
    this.#count('run');
    try {
      const report = await runPipeline(this.#config(), request, runtime, new AbortController().signal);
      for (const { table, error } of report.tables)
        if (error?.failure === 'unexpected') throw new Error(`${table}: ${error.message}`);
      look?.(report.published || report.tables.some(({ changed, pages }) => changed || pages > 0));
      const isDone = report.exitCode === EXIT.ok || report.exitCode === EXIT.expired;
      if (isDone && request.from === undefined) this.#source.model.proven(request.deep === true);
      const why = report.tables.flatMap(
        ({ error, outcome, table }) => error?.message ?? (outcome === 'partial' ? `${table} partial` : []),
      );
      return report.exitCode === 0 ? 'ok' : `${report.exitCode}: ${why.join('; ')}`;
    } catch (error) {
      if (!(error instanceof InsightsError) || error.failure === 'unexpected') throw error;
      return error.failure;
    }
  }

  async #verify(deep: boolean): Promise<void> {
    this.#count(deep ? 'verify deep' : 'verify');
    try {
      await verifyLake(this.#config(), { deep }, this.#runtime(), new AbortController().signal);
    } catch (error) {
      if (!(error instanceof InsightsError) || error.failure === 'unexpected') throw error;
    }
  }

  async #kill(at: number, request: RunRequest): Promise<void> {
    const left = join(this.folder, 'left');
    const isDead = (): boolean => existsSync(left);
    const runtime = this.#at(at, () => {
      if (existsSync(this.#dataDir)) cpSync(this.#dataDir, left, { recursive: true, preserveTimestamps: true });
      else return;
      throw diskFault('EIO', { name: 'kill', path: '' });
    });
    await this.#run(request, runtime).catch((error: unknown) => {
      if (!isDead()) throw error;
    });
    if (!isDead()) return;
    this.#count('kill');
    await rm(this.#dataDir, { recursive: true });
    await rename(left, this.#dataDir);
  }

  async #startProcess(kill?: Kill) {
    if (this.#cli === undefined) return undefined;
    const config = join(this.folder, 'config.json');
    await writeFile(config, JSON.stringify(this.#values));
    const ended = await runProcess(this.#cli, ['run', '--json', '--config', config], this.#env, kill);
    if (ended.code === EXIT.unexpected) throw new Error(`a process ended unexpectedly: ${ended.err}${ended.out}`);
    return ended;
  }

  async #killProcess(kill: Kill): Promise<void> {
    const ended = await this.#startProcess(kill);
    if (ended?.code === EXIT.ok) this.#source.model.proven(false);
    if (ended) this.#count(ended.code === undefined ? 'process killed' : 'process outran its kill');
  }

  /** While a run holds the ledger, another process is refused. */
  async #secondProcess(at: number): Promise<void> {
    let commits = 0;
    const onCommit = async (): Promise<void> => {
      if (commits++ !== at) return;
      const ended = await this.#startProcess();
      if (!ended) return;
      if (ended.code !== EXIT.locked) throw new Error(`a second process ended with ${ended.code}: ${ended.err}`);
      this.#count('second process refused');
    };
    await this.#run({}, this.#runtime(undefined, onCommit));
  }

  /** Something happens before the nth operation on files, or after the commit that comes there. */
  #at(n: number, happen: () => void | Promise<void>): Runtime {
    let operations = 0;
    const next = async (): Promise<void> => {
      if (operations++ === n) await happen();
    };
    return this.#runtime(watchedFiles(this.#dataDir, { before: next }), next);
  }

  #failing({ at, code, goesOn }: Extract<Step, { do: 'disk' }>): Runtime {
    let operations = 0;
    let isCounted = false;
    const before = (operation: Operation): void => {
      const n = operations++;
      if (n < at || (n > at && !goesOn)) return;
      if (!isCounted) this.#count('disk fault');
      isCounted = true;
      throw diskFault(code, operation);
    };
    return this.#runtime(watchedFiles(this.#dataDir, { before }));
  }

  async #damage(what: Damage, index: number): Promise<void> {
    const name = await damage(this.#dataDir, what, index);
    if (name === undefined) return;
    if (what <= 2 && name.includes('logs')) this.#source.model.lostLogs();
    if (what === 2) await this.#verify(true);
    // Without a ledger there is one way on.
    if (what === 6) {
      await rm(join(this.#dataDir, `${name}.wal`), { force: true });
      const names = await readdir(this.#dataDir, { recursive: true });
      if (names.some((other) => STORED.test(other))) await repairLake(this.#config(), this.#runtime());
    }
    this.#count(`damage ${what}`);
  }

  async #move(): Promise<void> {
    const before = this.#dataDir;
    this.#moves++;
    if (existsSync(before)) cpSync(before, this.#dataDir, { recursive: true });
    else await mkdir(this.#dataDir);
    await rm(before, { recursive: true, force: true });
  }
}
