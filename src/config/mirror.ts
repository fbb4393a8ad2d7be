/** The settings of the mirror. Its credentials are found by the clients of the object stores and never written in the configuration. */
import { z } from 'zod';
import { isJsonObject } from '../kernel/json.ts';
import type { JsonObject } from '../kernel/json.ts';
import { mirrorFormOf, parseMirrorPlace } from '../model/mirror-address.ts';

/** `webUrl`: the schema of an address. */
export const mirrorSection = (webUrl: (mayHaveQuery: boolean) => z.ZodString) =>
  z
    .strictObject({
      to: z
        .string()
        .refine((text) => parseMirrorPlace(text) !== undefined, { error: ({ input }) => mirrorFormOf(String(input)) })
        .describe(
          'Where each run copies what it has published: `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`, or a folder, relative to this file (docs/mirror.md).',
        ),
      endpoint: webUrl(false)
        .optional()
        .describe(
          'Address of the object store, if it is not that of AWS or Google: https, or http on this machine. For Azure, the address of the storage account.',
        ),
      region: z
        .string()
        .regex(/^[a-z0-9-]{1,40}$/, { error: 'the name of a region, such as eu-west-1' })
        .optional()
        .describe("Region of the bucket. Default: that of the client's own settings (AWS_REGION), else us-east-1."),
      pathStyle: z
        .boolean()
        .optional()
        .describe(
          'Name the bucket in the path instead of the host, which most S3 servers of your own need. Default: true with an `endpoint`.',
        ),
      parallel: z
        .int()
        .min(1)
        .max(32)
        .optional()
        .describe('Requests to the object store at the same time. Default: 4.'),
    })
    .optional()
    .describe('A copy of the lake and its ledger in an object store. `mirror: s3://bucket/prefix` sets only `to`.');

/** `mirror: s3://…` is short for `mirror: { to: s3://… }`. */
export function withMirrorText(values: JsonObject): JsonObject {
  return typeof values['mirror'] === 'string' ? { ...values, mirror: { to: values['mirror'] } } : values;
}

/** Lets an editor accept the short form, too. */
export function acceptMirrorText(schema: Record<string, unknown>): Record<string, unknown> {
  const { properties } = schema;
  if (!isJsonObject(properties) || !isJsonObject(properties['mirror'])) return schema;
  const { description, ...whole } = properties['mirror'];
  return { ...schema, properties: { ...properties, mirror: { description, anyOf: [{ type: 'string' }, whole] } } };
}
