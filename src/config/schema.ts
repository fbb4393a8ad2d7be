/**
 * The only definition of every configuration key with its default and bounds. The JSON Schema of the file, the names of
 * environment variables and `docs/config.md` are generated from it.
 */
import { z } from 'zod';
import { parseInstant } from '../kernel/instant.ts';
import { mirrorSection } from './mirror.ts';
import { privacySchema } from './privacy.ts';
import { promoteSchema } from './promote.ts';
import { operateSections } from './operate.ts';
import { secretSource } from './secret-source.ts';
import { cron, folder, INSTANT_FORM, isLoopback, isTimeZone, timeZone, webUrl } from './texts.ts';
import { parseShard, SHARD_FORM } from '../model/shard.ts';
import { parseQuietSpan, quietUntil } from '../model/quiet.ts';
import { TABLE_NAMES } from '../model/tables.ts';

const MIB = 1024 * 1024;
export const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

const date = () => z.string().refine((text) => parseInstant(text) !== undefined, { error: INSTANT_FORM });

const ownSchedule = () =>
  z
    .strictObject({
      cron: cron.optional().describe('Overrides the general `schedule.cron`.'),
      timeZone: timeZone.optional().describe('Overrides the general `schedule.timeZone`.'),
    })
    .optional();

const inFlight = z.int().min(1).max(32);
const settleMinutes = z.number().min(0).max(1440);
const maxCalls = z.int().min(1).max(1_000_000);
const maxMinutes = z.number().min(0.1).max(100_000);
const manyDays = z.int().min(1).max(36_500);
const rotationDays = z.int().min(0).max(36_500);
const ownRetention = manyDays.optional().describe('Overrides `retentionDays` of the table for this tenant.');
const quietHours = () =>
  z
    .strictObject({
      hours: z
        .array(
          z.string().refine((text) => parseQuietSpan(text) !== undefined, {
            error: 'hours such as 08:00-18:30, optionally with days such as Mon-Fri 08:00-18:30',
          }),
        )
        .default([])
        .describe('Hours in which no call is sent, such as `22:00-06:00` or `Mon-Fri 08:00-18:30`.'),
      timeZone: timeZone.default('UTC').describe('Time zone of `hours`.'),
    })
    .refine(
      ({ hours, timeZone }) => {
        const spans = hours.map(parseQuietSpan).filter((span) => span !== undefined);
        return quietUntil({ spans, timeZone: isTimeZone(timeZone) ? timeZone : 'UTC' }, 0) !== Infinity;
      },
      { error: 'hours that leave at least one minute of the week for calls' },
    );

// Keys that a tenant may override: bounds and descriptions here, general defaults below.
const share = z.number().min(0).max(1);
const page = {
  maxRows: z
    .int()
    .min(1)
    .max(500_000)
    .describe(
      'Most rows requested in one call. A smaller row cap of the service is detected (never below 10 rows) and rechecked after 30 days.',
    ),
  maxBytes: z.int().min(10_000).max(64_000_000).describe('Most bytes, estimated, requested in one call.'),
};
const http = {
  timeoutSeconds: z.number().min(1).max(3600).describe('Timeout for the first byte of an answer.'),
  stallSeconds: z.number().min(1).max(3600).describe('Timeout between two bytes of an answer.'),
  attempts: z.int().min(1).max(100).describe('Attempts for one call, including the first.'),
  totalMinutes: z.number().min(1).max(1440).describe('Minutes after which a call is not retried any more.'),
  maxBodyBytes: z.int().min(MIB).describe('Largest accepted answer, in bytes after decompression.'),
  graceSeconds: z
    .number()
    .min(0)
    .max(600)
    .describe('Seconds that a running call gets to finish after a stop signal; its answer is kept.'),
};
const deletes = {
  maxShare: share.describe(
    'Share of the compared rows that may vanish in one run. Beyond it, the table is not changed and the run fails.',
  ),
  minRows: z
    .int()
    .min(0)
    .describe(
      'Fewer vanished rows than this are not treated as a mass loss, unless the source has no row left in any compared hour.',
    ),
};
const quarantine = {
  maxShare: share.describe('Share of unloadable rows beyond which a whole page is refused.'),
  minRows: z.int().min(0).describe('Fewer unloadable rows than this never cause a page to be refused.'),
};
const landing = {
  keep: z.boolean().describe('Keep landed pages after they are verified. Ignored for tables with privacy rules.'),
};

const tableName = z.enum(TABLE_NAMES);
const rate = z.int().min(0).max(10_000);

const ownSection = <S extends z.core.$ZodLooseShape>(name: string, shape: S) =>
  z
    .strictObject(shape)
    .partial()
    .optional()
    .describe(`Overrides single keys of the general \`${name}\` for this tenant.`);

const tenant = z
  .strictObject({
    id: z
      .string()
      .regex(TENANT_ID, { error: "at most 128 letters, digits, '.', '_' and '-', as in the URLs of the service" })
      .describe('Id of the tenant, as in the URLs of the service.'),
    apiKey: secretSource.optional().describe('Where to read the API key (header X-API-KEY); never the key itself.'),
    token: secretSource.optional().describe('Where to read a bearer token, instead of an API key.'),
    baseUrl: webUrl(false)
      .optional()
      .describe('Overrides the general `baseUrl`, e.g. for a tenant of the staging service.'),
    callsPerMinute: rate.optional().describe('Overrides the general `callsPerMinute` for this tenant.'),
    inFlight: inFlight.optional().describe('Overrides the general `inFlight` for this tenant.'),
    settleMinutes: settleMinutes.optional().describe('Overrides the general `settleMinutes` for this tenant.'),
    maxCalls: maxCalls.optional().describe('Overrides `budget.maxCalls` for this tenant.'),
    maxMinutes: maxMinutes.optional().describe('Overrides `budget.maxMinutes` for this tenant.'),
    depthDays: manyDays.optional().describe('Overrides `reconcile.depthDays` for this tenant.'),
    rotationDays: rotationDays.optional().describe('Overrides `reconcile.rotationDays` for this tenant.'),
    retentionDays: z
      .strictObject({ Logs: ownRetention, Events: ownRetention, Metrics: ownRetention })
      .optional()
      .describe('Days that the service keeps a row of this tenant, by table.'),
    page: ownSection('page', page),
    http: ownSection('http', http),
    deletes: ownSection('deletes', deletes),
    quarantine: ownSection('quarantine', quarantine),
    landing: ownSection('landing', landing),
    quiet: quietHours().optional().describe('Replaces the general `quiet` for this tenant.'),
    start: date().optional().describe('Overrides the general `start` for this tenant.'),
    tables: z
      .array(tableName)
      .min(1)
      .optional()
      .describe('Load only these tables of this tenant. Default: all enabled tables.'),
    schedule: ownSchedule().describe('When `schedule` loads this tenant; overrides the schedule of a table.'),
  })
  .superRefine((value, context) => {
    if ((value.apiKey === undefined) !== (value.token === undefined)) return;
    context.addIssue({ code: 'custom', path: ['apiKey'], message: 'exactly one of apiKey, token' });
  })
  // For editors. A single tenant may have neither: the environment then names its key.
  .meta({ not: { required: ['apiKey', 'token'] } });

const table = z
  .strictObject({
    enabled: z.boolean().default(true).describe('false: do not load the table; rows already loaded stay.'),
    start: date().optional().describe('Rows before this instant are never fetched.'),
    retentionDays: manyDays
      .optional()
      .describe('Days that the service keeps a row. Default: 45 for Logs, forever for Events and Metrics.'),
    schedule: ownSchedule().describe('When `schedule` loads this table.'),
  })
  .prefault({});

/** Increased when a key is renamed or changes its meaning, so that an older program refuses the file. */
export const CONFIG_VERSION = 1;

const settings = z.strictObject({
  version: z
    .int()
    .min(1)
    .max(CONFIG_VERSION)
    .default(CONFIG_VERSION)
    .describe('Version of the format of this file. A program that is too old for it refuses the file.'),
  baseUrl: webUrl(false)
    .default('https://app.neostore.cloud')
    .describe('Address of the service: https, or http on this machine.'),
  reports: folder
    .optional()
    .describe('Folder with reports of your own, relative to this file (docs/analyst.md). Default: none.'),
  checks: folder
    .optional()
    .describe('Folder with checks of your own, relative to this file (docs/analyst.md). Default: none.'),
  dataDir: folder.default('./data').describe('Folder for the lake and its state: one writer, any number of readers.'),
  shard: z
    .string()
    .refine((text) => parseShard(text) !== undefined, { error: SHARD_FORM })
    .optional()
    .describe(
      'Work on one shard of the tenants, in a data directory of its own (docs/scale.md): `i/n`, counted from `0/n`. Usually given as `--shard`. Default: all tenants.',
    ),
  tenants: z
    .array(tenant)
    .default([])
    .superRefine((tenants, context) => {
      // Compared without case: the ids become folder names, and some file systems ignore case.
      const seen = new Set<string>();
      for (const [index, { id }] of tenants.entries()) {
        if (seen.has(id.toLowerCase()))
          context.addIssue({ code: 'custom', path: [index, 'id'], message: 'each tenant id only once' });
        seen.add(id.toLowerCase());
      }
    })
    .meta({ uniqueItems: true })
    .describe('The tenants to load, each with its own credential and limiter.'),
  tables: z
    .strictObject({ Logs: table, Events: table, Metrics: table })
    .prefault({})
    .describe('What to load of each table.'),
  start: date()
    .optional()
    .describe('Rows before this instant are never fetched. Default: from the first row of the service.'),
  settleMinutes: settleMinutes
    .default(5)
    .describe('Rows younger than this are left for the next run, because the service ingests with a delay.'),
  callsPerMinute: rate
    .default(60)
    .describe(
      'Calls to the service in any sliding minute, per tenant. 0 = no limit (only for a service on this machine).',
    ),
  inFlight: inFlight.default(4).describe('Calls of one tenant that may run at the same time.'),
  budget: z
    .strictObject({
      maxCalls: maxCalls
        .optional()
        .describe('Most calls that one run may send for a tenant, including counts and retries. Default: no limit.'),
      maxMinutes: maxMinutes.optional().describe('Minutes after which a run sends no more calls. Default: no limit.'),
    })
    .prefault({})
    .describe('Limits of one run; the next run continues where it stopped.'),
  quiet: quietHours().prefault({}).describe('Hours in which no call is sent.'),
  page: z
    .strictObject({ maxRows: page.maxRows.default(500_000), maxBytes: page.maxBytes.default(60_000_000) })
    .prefault({})
    .describe('Size of one answer.'),
  http: z
    .strictObject({
      timeoutSeconds: http.timeoutSeconds.default(300),
      stallSeconds: http.stallSeconds.default(60),
      attempts: http.attempts.default(8),
      totalMinutes: http.totalMinutes.default(30),
      maxBodyBytes: http.maxBodyBytes.default(256 * MIB),
      graceSeconds: http.graceSeconds.default(10),
    })
    .prefault({})
    .describe('Timeouts, retries and size limits of calls.'),
  reconcile: z
    .strictObject({
      depthDays: manyDays
        .default(45)
        .describe(
          'Past days that every run compares hour by hour. Older days are compared in rotation, and by `--deep`.',
        ),
      rotationDays: rotationDays
        .default(30)
        .describe(
          'Days within which every older day is compared again, a share in each run. 0 = older days are compared only with `--deep`.',
        ),
      batchBytes: z
        .int()
        .min(MIB)
        .default(32 * MIB)
        .describe('Bytes of landed pages that are merged at a time; bounds the memory of a backfill.'),
    })
    .prefault({})
    .describe('How far a run looks back, and how much it merges at a time.'),
  deletes: z
    .strictObject({ maxShare: deletes.maxShare.default(0.2), minRows: deletes.minRows.default(100) })
    .prefault({})
    .describe('Guard against a source that has lost rows.'),
  quarantine: z
    .strictObject({ maxShare: quarantine.maxShare.default(0.2), minRows: quarantine.minRows.default(100) })
    .prefault({})
    .describe('Guard against a source that has changed its format.'),
  lake: z
    .strictObject({
      keepHours: z
        .number()
        .min(0)
        .max(8784)
        .default(24)
        .describe('Hours to keep superseded files for readers in the middle of a query.'),
      marts: z
        .boolean()
        .default(true)
        .describe(
          'Keep the figures of each day that reports need as small files (docs/lake.md), updated at the end of a run.',
        ),
      splitMarts: z
        .boolean()
        .default(false)
        .describe(
          'With `marts`: keep these figures by week and month, and by pass type and platform, too (`mart_<report>_by`). Takes about as long as loading the rows (docs/lake.md).',
        ),
      delta: z
        .boolean()
        .default(true)
        .describe(
          'Keep a Delta log next to the files of each table and mart, so that Spark, Polars and other engines read them as Delta tables.',
        ),
      checks: z
        .boolean()
        .default(true)
        .describe('Run the checks of queries/checks over the days that a run changed, and keep their results.'),
    })
    .prefault({})
    .describe('The published files.'),
  landing: z
    .strictObject({ keep: landing.keep.default(false) })
    .prefault({})
    .describe('Pages as received from the service.'),
  engine: z
    .strictObject({
      threads: z.int().min(1).max(512).optional().describe('Threads of DuckDB. Default: all cores.'),
      memoryLimit: z
        .string()
        .regex(/^\d+(\.\d+)?\s?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/, { error: 'a size such as 512MB or 2GB' })
        .default('384MB')
        .describe('Memory limit of DuckDB; beyond it the engine spills to disk.'),
    })
    .prefault({})
    .describe('Resources of DuckDB.'),
  privacy: privacySchema,
  promote: promoteSchema,
  schedule: z
    .strictObject({
      cron: cron.default('0 3 * * *').describe('When `schedule` runs: minute hour day month weekday.'),
      timeZone: timeZone.default('UTC').describe('Time zone of `cron`.'),
      jitterSeconds: z
        .number()
        .min(0)
        .max(86_400)
        .default(0)
        .describe('Largest random delay of the slots, drawn once per installation.'),
    })
    .prefault({})
    .describe('When the `schedule` command runs.'),
  mirror: mirrorSection(webUrl),
  ...operateSections(webUrl),
});

// A process parses a schema once or a few times: functions compiled for it would take longer than they save.
z.config({ jitless: true });

/** The whole configuration. Parsing adds the defaults. */
export const configSchema = settings.superRefine((value, context) => {
  // This also runs for an address that was already refused.
  const isRemote = (url: string): boolean => !URL.canParse(url) || !isLoopback(new URL(url));
  const refuse = (path: (string | number)[]) =>
    context.addIssue({ code: 'custom', path, message: '1 or more (0 = no limit, only for a service on this machine)' });
  const { baseUrl, callsPerMinute, tenants } = value;
  if (isRemote(baseUrl) && callsPerMinute === 0) refuse(['callsPerMinute']);
  for (const [index, tenant] of tenants.entries()) {
    const own = tenant.callsPerMinute ?? (tenant.baseUrl === undefined ? undefined : callsPerMinute);
    if (own === 0 && isRemote(tenant.baseUrl ?? baseUrl)) refuse(['tenants', index, 'callsPerMinute']);
  }
});

export type Settings = z.output<typeof configSchema>;
