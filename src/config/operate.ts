/** The settings for an operator's tools: health, metrics, the dashboard, pings and the webhook. */
import { z } from 'zod';
import { secretSource } from './secret-source.ts';
import { folder } from './texts.ts';

/** `webUrl`: the schema of an address; with `true` it may have a query. */
export const operateSections = (webUrl: (mayHaveQuery: boolean) => z.ZodString) => ({
  health: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address on which `schedule` serves /healthz, /readyz and /metrics, without authentication.'),
      port: z
        .int()
        .min(0)
        .max(65_535)
        .optional()
        .describe('Port of these endpoints; without one nothing is served. 0 = any free port.'),
      maxRunMinutes: z
        .number()
        .min(1)
        .max(100_000)
        .default(1440)
        .describe('Minutes that a run may take before /healthz reports a failure.'),
      textfile: z
        .string()
        .regex(/\.prom$/, { error: 'a path that ends in .prom, in the folder of the textfile collector' })
        .optional()
        .describe(
          'File that each run replaces with its metrics, for the textfile collector of node_exporter. Its folder must exist.',
        ),
    })
    .prefault({})
    .describe('Health and metrics, for a supervisor and for Prometheus.'),
  dashboard: z
    .strictObject({
      out: folder
        .optional()
        .describe(
          'Folder into which each run writes the dashboard as static files, relative to this file. Empty or an earlier dashboard, outside of `dataDir`.',
        ),
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .describe('Address on which `schedule` serves the dashboard, without authentication.'),
      port: z
        .int()
        .min(0)
        .max(65_535)
        .optional()
        .describe('Port of the dashboard of `schedule`; without one it is not served. 0 = any free port.'),
    })
    .prefault({})
    .describe('The page of figures and proof (docs/dashboard.md): as files, and served by `schedule`.'),
  ping: z
    .strictObject({
      url: webUrl(true)
        .optional()
        .describe(
          'Address of a check in the convention of healthchecks.io: a run calls `<url>/start` when it starts, `<url>` when it succeeds and `<url>/fail` when it fails.',
        ),
      start: webUrl(true).optional().describe('Called when a run starts, instead of `<url>/start`.'),
      success: webUrl(true).optional().describe('Called when a run succeeds, instead of `<url>`.'),
      failure: webUrl(true).optional().describe('Called when a run fails, instead of `<url>/fail`.'),
    })
    .optional()
    .describe("A dead man's switch: a service that raises the alarm when no run reports to it."),
  webhook: z
    .strictObject({
      url: webUrl(true).describe('Receives a POST when runs start to fail and when they recover.'),
      heartbeat: z.boolean().default(false).describe('Also send a POST after every other run.'),
      format: z
        .enum(['json', 'text', 'teams'])
        .default('json')
        .describe(
          'Body of the POST. `json`: all fields, among them the `text` that Slack and Mattermost show. `text`: only `text`, for chats that refuse other fields. `teams`: an adaptive card for a workflow of Teams.',
        ),
      secret: secretSource.optional().describe('Where to read the key of the signature (HMAC-SHA-256).'),
    })
    .optional()
    .describe('Notifications about how runs end.'),
});
