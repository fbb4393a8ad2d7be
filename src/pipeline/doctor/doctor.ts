/**
 * `doctor`: checks this machine, then each tenant. Two calls settle address, credential, clock and proof; more calls, up to a
 * limit, examine the endpoint.
 */
import { createHash } from 'node:crypto';
import type { Config, TenantConfig } from '../../config/config.ts';
import { isLoopback } from '../../config/texts.ts';
import { BudgetError } from '../../kernel/errors.ts';
import type { Failure } from '../../kernel/errors.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import { timedOut } from '../../extract/source/refusal.ts';
import { pageQuery } from '../../extract/source/kql.ts';
import { probeQuery, PROBE_COLUMNS } from '../../extract/source/questions.ts';
import type { Client, SmallAnswer, TooLarge } from '../../extract/source/client.ts';
import { formatInstant, fromEpochMs, parseInstant, toEpochMs } from '../../kernel/instant.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { openLake } from '../open-lake.ts';
import { capsLesson, learntCaps, readProfile, updateProfile } from '../../load/ledger/profile.ts';
import type { LearntCaps } from '../../load/ledger/profile.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { TABLES } from '../../model/tables.ts';
import { examineEndpoint } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { examineMachine, LEDGER_CHECK } from './machine.ts';
import { mirrorChecks } from './mirror.ts';
import { exitCodeOf, reported } from '../failure.ts';
import type { DoctorCheck, DoctorReport } from '../../model/report.ts';
import { lakeSettings } from '../lake-settings.ts';
import { openSource } from '../tenant.ts';

/** With a larger difference the schedule runs at unexpected times. Loading itself follows the source's clock. */
const SKEW_MS = 120_000;
/** With such a difference one of the clocks is wrong. */
const WRONG_MS = 3_600_000;

export interface DoctorOptions {
  /** Calls that it may send for each tenant. */
  readonly maxCalls: number;
}

/** Takes the data directory's lock, so that its calls and those of a run share one rate limit. Throws what `openLedger` throws. */
export async function doctor(
  config: Config,
  { maxCalls }: DoctorOptions,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<DoctorReport> {
  await using ledger = await openLake(config, lakeSettings(config), runtime);
  const failures: Failure[] = [];
  const machine: DoctorCheck[] = [];
  const addMachine = (check: DoctorCheck): void => {
    machine.push(check);
    if (!check.ok) failures.push(check.failure ?? 'disk');
  };
  for await (const check of examineMachine(config, ledger, runtime)) addMachine(check);
  for (const check of await mirrorChecks(config, runtime, signal)) addMachine(check);
  // What the calls find is kept in the ledger, and they count against its rate limit.
  if (machine.some(({ name, ok }) => name === LEDGER_CHECK && !ok))
    return { machine, tenants: [], exitCode: exitCodeOf(failures) };
  const tenants: DoctorReport['tenants'][number][] = [];
  for (const tenant of config.tenants) {
    await using source = await openSource(config, { ...tenant, maxCalls }, runtime, runtime.monotonic());
    const { client } = source;
    const checks: DoctorCheck[] = [];
    const add = (check: DoctorCheck): void => {
      checks.push(check);
      if (!check.ok) failures.push('source');
    };
    const facts: Endpoint['facts'] = { checkedAt: new Date(runtime.now()).toISOString() };
    const [settings] = tenant.tables.values();
    const { settleMinutes = config.settleMinutes, page = config.page } = settings ?? {};
    const endpoint: Endpoint = { client, tenant, maxRows: page.maxRows, settleMinutes, signal, facts };
    try {
      const { pinnedTenantId } = await readProfile(ledger, tenant.id);
      const isLocal = isLoopback(new URL(tenant.baseUrl ?? config.baseUrl));
      for await (const check of examine(client, tenant, pinnedTenantId, isLocal, runtime, signal)) add(check);
      for await (const check of examineEndpoint(endpoint)) add(check);
    } catch (error) {
      const { failure, message, hint } = reported(error);
      const isLimit = error instanceof BudgetError && error.limit === 'calls';
      if (isLimit) checks.push({ name: 'rest', ok: true, detail: `not checked: all ${maxCalls} calls are used up` });
      else {
        failures.push(failure);
        const isOfKey = failure === 'auth' || failure === 'config';
        const name = isOfKey ? 'credential' : checks.length > 0 ? 'answers' : 'reachable';
        checks.push({ name, ok: false, detail: message, ...(hint === undefined ? {} : { hint }) });
      }
    }
    // Nothing is said about a source that was not reached.
    if (checks.some(({ name, ok }) => name === 'reachable' && ok))
      checks.push(await rememberFacts(ledger, endpoint, runtime.now()));
    tenants.push({ tenant: tenant.id, calls: client.stats.calls, maxCalls, checks });
  }
  return { machine, tenants, exitCode: exitCodeOf(failures) };
}

/** Stores what the checks have found out about the endpoint. */
async function rememberFacts(ledger: Ledger, endpoint: Endpoint, nowMs: number): Promise<DoctorCheck> {
  const { tenant, facts } = endpoint;
  const known = await readProfile(ledger, tenant.id);
  const before = learntCaps(known, nowMs);
  const lesson = capsLesson(known, { rowCap: shownCapOf(endpoint, before) }, nowMs);
  const profile = await updateProfile(ledger, tenant.id, { ...lesson, endpoint: { ...known.endpoint, ...facts } });
  return capsCheck(learntCaps(profile, nowMs), before);
}

async function* examine(
  client: Client,
  tenant: TenantConfig,
  pinned: string | undefined,
  /** A service on this machine, such as the sandbox, may have a clock of its own. */
  isLocal: boolean,
  runtime: Runtime,
  signal: AbortSignal,
): AsyncGenerator<DoctorCheck> {
  const probe = inTime(await client.ask(probeQuery(), PROBE_COLUMNS, signal), tenant.id);
  const through = client.at.proxy === undefined ? '' : ` through the proxy ${client.at.proxy}`;
  yield { name: 'reachable', ok: true, detail: `the service answers at the configured address${through}` };
  yield {
    name: 'credential',
    ok: true,
    detail: `the key gives access to tenant "${tenant.id}" and has the required scope`,
  };
  const cells = (probe?.rows[0] ?? []).map(String);
  yield clockCheck(cells[0], isLocal, runtime);
  yield proofCheck(cells.slice(1));
  const [table] = tenant.tables.keys();
  if (table !== undefined) {
    const page = { id: 'sample', windows: [{ from: 0n, to: fromEpochMs(runtime.now()) }], rows: undefined, bytes: 0 };
    const names = TABLES[table].columns.map(({ name }) => name);
    const sample = rowsOf(await client.ask(pageQuery(table, page, 1), names, signal))?.rows[0];
    const cell = (name: string): string => {
      const value = sample?.[names.indexOf(name)];
      return typeof value === 'string' ? value : '';
    };
    const carried = cell('tenantId');
    const isForeign = pinned !== undefined && carried !== '' && carried !== pinned;
    yield {
      name: 'sample',
      ok: !isForeign,
      detail: sample
        ? `${table}: tenantId "${carried}"${pinned === undefined ? '' : ` (pinned: "${pinned}")`}, ${/\.(\d+)/.exec(cell('timestamp'))?.[1]?.length ?? 0} fractional digits in timestamps`
        : `${table} is empty`,
      ...(isForeign
        ? {
            hint: `Rows with this tenantId go into quarantine. If it is the right one, run \`insights-etl tenant pin ${tenant.id} <tenantId>\`.`,
          }
        : {}),
    };
  }
}

/** The row cap to remember; Infinity drops a cap that runs have learnt. Undefined: nothing changes. */
function shownCapOf({ shownCap }: Endpoint, { rowCap }: LearntCaps): number | undefined {
  if (shownCap === Infinity) return rowCap === undefined ? undefined : Infinity;
  return shownCap && Math.min(shownCap, rowCap ?? Infinity);
}

function capsCheck({ rowCap, byteCap }: LearntCaps, before: LearntCaps): DoctorCheck {
  const learnt = [
    ...(rowCap === undefined ? [] : [`${rowCap} rows`]),
    ...(byteCap === undefined ? [] : [`${byteCap} bytes`]),
  ];
  const detail =
    learnt.length === 0
      ? 'the source has not shown a lower limit than configured'
      : `the source limits an answer to ${learnt.join(' and ')}`;
  const isDropped = rowCap === undefined && before.rowCap !== undefined;
  const dropped = isDropped ? `; the cap of ${before.rowCap} rows that runs had learnt is dropped` : '';
  return { name: 'caps', ok: true, detail: detail + dropped };
}

function clockCheck(at: string | undefined, isLocal: boolean, runtime: Runtime): DoctorCheck {
  const there = at === undefined ? undefined : parseInstant(at);
  if (there === undefined) {
    return {
      name: 'clock',
      ok: false,
      detail: 'the source does not answer what time it is',
      hint: 'Ask the vendor whether queries may use now().',
    };
  }
  const skewMs = runtime.now() - toEpochMs(there);
  const differs = Math.abs(skewMs) > SKEW_MS;
  return {
    name: 'clock',
    ok: isLocal || Math.abs(skewMs) < WRONG_MS,
    detail: `the source's clock says ${formatInstant(there).slice(0, 19)}Z; this machine's clock ${differenceText(skewMs)}`,
    ...(differs
      ? { hint: "Correct this machine's clock: the schedule follows it. Loading follows the source's clock." }
      : {}),
  };
}

function differenceText(ms: number): string {
  if (Math.abs(ms) < 500) return 'says the same';
  return `is ${durationText(Math.abs(ms))} ${ms > 0 ? 'ahead of' : 'behind'} it`;
}

/** `5 seconds`, `12 minutes`, `3.5 hours`, `24.8 days`. */
function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} second${seconds === 1 ? '' : 's'}`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} minutes`;
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} hours`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** Compares the source's digest of a known text, split as the fingerprints split it, with our own. */
function proofCheck([h, s, x, bucket]: readonly string[]): DoctorCheck {
  const digest = createHash('md5').update('insights').digest('hex');
  const first = BigInt(`0x${digest.slice(0, 8)}`).toString();
  const expected = Number.parseInt(digest.slice(0, 4), 16) % HASH_BUCKETS;
  const works = h === digest && s === first && x === first && bucket === String(expected);
  return {
    name: 'proof',
    ok: works,
    detail: works
      ? 'the fingerprint functions work, so hours are proven by checksum'
      : 'the fingerprint functions give another result than expected',
    ...(works
      ? {}
      : { hint: 'If the source rejects these functions, runs count rows instead and report the grade `count`.' }),
  };
}

/** A source that does not answer the smallest query in time is not reached. */
function inTime(answer: SmallAnswer | TooLarge, tenant: string): SmallAnswer | undefined {
  if (answer.kind === 'too-large' && answer.by === 'timeout') throw timedOut('answer the smallest query', { tenant });
  return rowsOf(answer);
}

function rowsOf(answer: SmallAnswer | TooLarge): SmallAnswer | undefined {
  return answer.kind === 'rows' ? answer : undefined;
}
