/**
 * Every key of the configuration, its default and its bounds, once: the file's JSON Schema, the environment's variable
 * names and `docs/config.md` derive from here.
 */
import { z } from 'zod';
import { parseInstant } from '../kernel/instant.ts';
import { privacySchema } from './privacy.ts';
import { promoteSchema } from './promote.ts';
import { secretSource } from './secret-source.ts';
import { parseQuietSpan, quietUntil } from '../model/quiet.ts';

const MIB = 1024 * 1024;
const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

const date = () =>
  z.string().refine((text) => parseInstant(text) !== undefined, { error: 'an ISO date or instant such as 2026-01-31' });

/** True for the hosts on which plain http is no risk: the sandbox and tests live there. */
export function isLoopback(url: URL): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}

const webUrl = (mayHaveQuery: boolean) =>
  z.string().superRefine((text, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) refuse('an https URL such as https://app.neostore.cloud');
    else if (url.username !== '' || url.password !== '') refuse('a URL without a user name or password');
    else if (!mayHaveQuery && (url.search !== '' || url.hash !== '')) refuse('a URL without ? and #');
    else if (url.protocol === 'http:' && !isLoopback(url)) refuse('https (plain http only on this machine itself)');
  });

const timeZone = z.string().refine(isTimeZone, { error: 'an IANA time zone such as Europe/Paris' });
const ownSchedule = () =>
  z
    .strictObject({
      cron: z.string().min(1).optional().describe('Instead of the general `schedule.cron`.'),
      timeZone: timeZone.optional().describe('Instead of the general `schedule.timeZone`.'),
    })
    .optional();

const inFlight = z.int().min(1).max(32);
const settleMinutes = z.number().min(0).max(1440);
const maxCalls = z.int().min(1).max(1_000_000);
const maxMinutes = z.number().min(0.1).max(100_000);
const manyDays = z.int().min(1).max(36_500);
const ownRetention = manyDays.optional().describe('Overrides `retentionDays` of the table for this tenant.');
const quietHours = () =>
  z
    .strictObject({
      hours: z
        .array(
          z.string().refine((text) => parseQuietSpan(text) !== undefined, {
            error: 'hours such as 08:00-18:30, with days before them where wanted: Mon-Fri 08:00-18:30',
          }),
        )
        .default([])
        .describe('Spans without any call, such as `22:00-06:00` or `Mon-Fri 08:00-18:30`.'),
      timeZone: timeZone.default('UTC').describe('Time zone of `hours`.'),
    })
    .refine(
      ({ hours, timeZone }) => {
        const spans = hours.map(parseQuietSpan).filter((span) => span !== undefined);
        return quietUntil({ spans, timeZone: isTimeZone(timeZone) ? timeZone : 'UTC' }, 0) !== Infinity;
      },
      { error: 'hours that leave some minute of the week for calls' },
    );

// What a tenant may have of its own, key by key: bounds and meaning here, defaults below.
const share = z.number().min(0).max(1);
const page = {
  maxRows: z
    .int()
    .min(1)
    .max(500_000)
    .describe('Rows asked for in one call; smaller caps of the service are learnt, and tried again after 30 days.'),
  maxBytes: z.int().min(10_000).max(64_000_000).describe('Estimated bytes asked for in one call.'),
};
const http = {
  timeoutSeconds: z.number().min(1).max(3600).describe('Seconds until the first byte of an answer.'),
  stallSeconds: z.number().min(1).max(3600).describe('Seconds without a byte before an answer is given up.'),
  attempts: z.int().min(1).max(100).describe('Tries of one call, the first included.'),
  totalMinutes: z.number().min(1).max(1440).describe('Minutes after which a call is not tried again.'),
  maxBodyBytes: z.int().min(MIB).describe('An answer larger than this is refused; bytes after decompression.'),
  graceSeconds: z
    .number()
    .min(0)
    .max(600)
    .describe('Seconds that a call under way may go on after a stop signal; its answer is kept.'),
};
const deletes = {
  maxShare: share.describe(
    'Share of a compared range that may vanish in one run; beyond it nothing of the table is changed.',
  ),
  minRows: z.int().min(0).describe('Fewer vanished rows than this are never a mass loss.'),
};
const quarantine = {
  maxShare: share.describe('Share of unloadable rows beyond which a page is refused whole.'),
  minRows: z.int().min(0).describe('Fewer unloadable rows than this never refuse a page.'),
};
const landing = {
  keep: z.boolean().describe('Keep the answers after they are verified; never of a table with privacy rules.'),
};

const tableName = z.enum(['Logs', 'Events', 'Metrics']);
const rate = z.int().min(0).max(10_000);

const tenant = z
  .strictObject({
    id: z
      .string()
      .regex(TENANT_ID, { error: "letters, digits, '.', '_' and '-', at most 128, as in the service's URLs" })
      .describe('The tenant as it stands in the service’s URLs.'),
    apiKey: secretSource.optional().describe('Where the API key (header X-API-KEY) comes from; never the key itself.'),
    token: secretSource.optional().describe('Where a bearer token comes from, instead of an API key.'),
    baseUrl: webUrl(false)
      .optional()
      .describe('Instead of the general `baseUrl`, e.g. for a tenant of the staging service.'),
    callsPerMinute: rate.optional().describe('Overrides the general `callsPerMinute` for this tenant.'),
    inFlight: inFlight.optional().describe('Overrides the general `inFlight` for this tenant.'),
    settleMinutes: settleMinutes.optional().describe('Overrides the general `settleMinutes` for this tenant.'),
    maxCalls: maxCalls.optional().describe('Overrides `budget.maxCalls` for this tenant.'),
    maxMinutes: maxMinutes.optional().describe('Overrides `budget.maxMinutes` for this tenant.'),
    depthDays: manyDays.optional().describe('Overrides `reconcile.depthDays` for this tenant.'),
    retentionDays: z
      .strictObject({ Logs: ownRetention, Events: ownRetention, Metrics: ownRetention })
      .optional()
      .describe('Days the service keeps a row of this tenant, by table.'),
    page: z.strictObject(page).partial().optional().describe('Goes before the general `page`, key by key.'),
    http: z.strictObject(http).partial().optional().describe('Goes before the general `http`, key by key.'),
    deletes: z.strictObject(deletes).partial().optional().describe('Goes before the general `deletes`, key by key.'),
    quarantine: z
      .strictObject(quarantine)
      .partial()
      .optional()
      .describe('Goes before the general `quarantine`, key by key.'),
    landing: z.strictObject(landing).partial().optional().describe('Goes before the general `landing`.'),
    quiet: quietHours().optional().describe('Instead of the general `quiet`.'),
    start: date().optional().describe('Overrides the general `start` for this tenant.'),
    tables: z
      .array(tableName)
      .min(1)
      .optional()
      .describe('Only these tables of this tenant. Default: all that are enabled.'),
    schedule: ownSchedule().describe('When `schedule` loads this tenant; goes before that of a table.'),
  })
  .superRefine((value, context) => {
    if ((value.apiKey === undefined) !== (value.token === undefined)) return;
    context.addIssue({ code: 'custom', path: ['apiKey'], message: 'exactly one of apiKey, token' });
  });

const table = z
  .strictObject({
    enabled: z.boolean().default(true).describe('false leaves the table alone; what is loaded stays.'),
    start: date().optional().describe('Rows before this instant are never asked for.'),
    retentionDays: manyDays
      .optional()
      .describe('Days the service keeps a row. Default: 45 for Logs, for good elsewhere.'),
    schedule: ownSchedule().describe('When `schedule` loads this table.'),
  })
  .prefault({});

/** Raised when a key is renamed or means something else: an older program then refuses the file by its number. */
export const CONFIG_VERSION = 1;

const settings = z.strictObject({
  version: z
    .int()
    .min(1)
    .max(CONFIG_VERSION)
    .default(CONFIG_VERSION)
    .describe('Version of the form of this file: a program that is older than the file says so.'),
  baseUrl: webUrl(false)
    .default('https://app.neostore.cloud')
    .describe('Address of the service; https, or http on this machine.'),
  dataDir: z
    .string()
    .min(1)
    .default('./data')
    .describe('Folder of the lake and its state: one writer, any number of readers.'),
  tenants: z
    .array(tenant)
    .default([])
    .superRefine((tenants, context) => {
      // Compared without case: the ids become folder names, and some file systems know no case.
      const seen = new Set<string>();
      for (const [index, { id }] of tenants.entries()) {
        if (seen.has(id.toLowerCase()))
          context.addIssue({ code: 'custom', path: [index, 'id'], message: 'each tenant once' });
        seen.add(id.toLowerCase());
      }
    })
    .describe('The tenants to load, each with its own credential and limiter.'),
  tables: z
    .strictObject({ Logs: table, Events: table, Metrics: table })
    .prefault({})
    .describe('What to load of each table.'),
  start: date()
    .optional()
    .describe('Rows before this instant are never asked for. Default: from the first row the service has.'),
  settleMinutes: settleMinutes
    .default(5)
    .describe('Rows younger than this are left for the next run: the service ingests with a delay.'),
  callsPerMinute: rate
    .default(60)
    .describe('Calls to the service in any sliding minute, per tenant. 0 = no limit, on this machine only.'),
  inFlight: inFlight.default(4).describe('Calls of one tenant that may run at the same time.'),
  budget: z
    .strictObject({
      maxCalls: maxCalls
        .optional()
        .describe('Calls that one run may send for a tenant, counts and repetitions included. Default: any number.'),
      maxMinutes: maxMinutes
        .optional()
        .describe('Minutes after which a run sends no call any more. Default: any number.'),
    })
    .prefault({})
    .describe('How much one run may ask; the next goes on from where it stopped.'),
  quiet: quietHours().prefault({}).describe('When no call may be sent.'),
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
    .describe('Patience with the service.'),
  reconcile: z
    .strictObject({
      depthDays: manyDays
        .default(45)
        .describe('Days back that a run compares by the hour; older days that are loaded are compared with `--deep`.'),
      batchBytes: z
        .int()
        .min(MIB)
        .default(32 * MIB)
        .describe('Bytes of answers that are merged at a time: the memory of a backfill.'),
    })
    .prefault({})
    .describe('How far a run looks back, and in what portions it loads.'),
  deletes: z
    .strictObject({ maxShare: deletes.maxShare.default(0.2), minRows: deletes.minRows.default(100) })
    .prefault({})
    .describe('Guard against a source that lost its rows.'),
  quarantine: z
    .strictObject({ maxShare: quarantine.maxShare.default(0.2), minRows: quarantine.minRows.default(100) })
    .prefault({})
    .describe('Guard against a source that changed its shape.'),
  lake: z
    .strictObject({
      keepHours: z
        .number()
        .min(0)
        .max(8784)
        .default(24)
        .describe('Hours that superseded files are kept for readers in the middle of a query.'),
      marts: z
        .boolean()
        .default(true)
        .describe(
          'Keep what reports say of each day as small files (docs/lake.md), brought up to date at the end of a run.',
        ),
      checks: z
        .boolean()
        .default(true)
        .describe('Run the checks of queries/checks over the days that a run changed, and keep what they say.'),
    })
    .prefault({})
    .describe('The published files.'),
  landing: z
    .strictObject({ keep: landing.keep.default(false) })
    .prefault({})
    .describe('The answers as received.'),
  engine: z
    .strictObject({
      threads: z.int().min(1).max(512).optional().describe('Threads of DuckDB. Default: all cores.'),
      memoryLimit: z
        .string()
        .regex(/^\d+(\.\d+)?\s?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/, { error: 'a size such as 512MB or 2GB' })
        .default('384MB')
        .describe('Memory of DuckDB; beyond it the engine spills to disk.'),
    })
    .prefault({})
    .describe('DuckDB.'),
  privacy: privacySchema,
  promote: promoteSchema,
  schedule: z
    .strictObject({
      cron: z.string().min(1).default('0 3 * * *').describe('When `schedule` runs: minute hour day month weekday.'),
      timeZone: timeZone.default('UTC').describe('Time zone of `cron`.'),
      jitterSeconds: z
        .number()
        .min(0)
        .max(86_400)
        .default(0)
        .describe('The most by which slots are delayed; each installation draws its own share once.'),
    })
    .prefault({})
    .describe('Used by the `schedule` command.'),
  health: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address on which `schedule` serves /healthz, /readyz and /metrics; it asks for no password.'),
      port: z
        .int()
        .min(0)
        .max(65_535)
        .optional()
        .describe('Its port; without one nothing is served. 0 = any free one.'),
      maxRunMinutes: z
        .number()
        .min(1)
        .max(100_000)
        .default(1440)
        .describe('Minutes that a run may take before /healthz says no.'),
    })
    .prefault({})
    .describe('What a supervisor asks.'),
  webhook: z
    .strictObject({
      url: webUrl(true).describe('Is told by POST when runs begin to fail and when they are well again.'),
      heartbeat: z.boolean().default(false).describe('Tell the end of every run.'),
      secret: secretSource.optional().describe('Key of the signature (HMAC-SHA-256).'),
    })
    .optional()
    .describe('Another machine that is told how runs end.'),
});

function isTimeZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text }).format();
    return true;
  } catch {
    return false;
  }
}

/** The whole configuration as written by a person; parse gives it with its defaults. */
export const configSchema = settings.superRefine((value, context) => {
  // An address that was already refused still comes here.
  const isRemote = (url: string): boolean => !URL.canParse(url) || !isLoopback(new URL(url));
  const refuse = (path: (string | number)[]) =>
    context.addIssue({ code: 'custom', path, message: '1 or more (0, no limit, only on this machine itself)' });
  const { baseUrl, callsPerMinute, tenants } = value;
  if (isRemote(baseUrl) && callsPerMinute === 0) refuse(['callsPerMinute']);
  for (const [index, tenant] of tenants.entries()) {
    const own = tenant.callsPerMinute ?? (tenant.baseUrl === undefined ? undefined : callsPerMinute);
    if (own === 0 && isRemote(tenant.baseUrl ?? baseUrl)) refuse(['tenants', index, 'callsPerMinute']);
  }
});

export type Settings = z.output<typeof configSchema>;
