/** `promote`: which values of `properties` become columns of the lake, beside the default set. */
import { z } from 'zod';
import { parseJsonPath } from '../kernel/json-path.ts';
import { PROMOTED_TYPES } from '../model/promoted.ts';
import { TABLES, type TableName } from '../model/tables.ts';

const exactPath = z.string().refine((text) => parseJsonPath(text)?.every(({ isPattern }) => !isPattern) === true, {
  error: 'keys joined by dots such as registrationSource.medium, one that holds a dot or a star in double quotes',
});
const promoted = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,62}$/, { error: 'lower-case letters, digits and _, beginning with a letter' })
    .describe('Name of the column; one of the default set gets these paths instead of its own.'),
  type: z
    .enum(PROMOTED_TYPES)
    .default('text')
    .describe('Type of the column; `list` is a list of text, `host` the host of a URL. What is no such value is null.'),
  paths: z.array(exactPath).min(1).describe('Where in `properties` it may stand; the first that is there counts.'),
  comment: z.string().max(200).default('').describe('What the catalogue says of the column.'),
});
const promotedColumns = (table: TableName) =>
  z
    .array(promoted)
    .default([])
    .superRefine((columns, context) => {
      const { columns: given, promoted: defaults } = TABLES[table];
      const taken = new Set([
        'tenant_id',
        'month',
        ...given.flatMap(({ lake }) => [lake, `${lake}_type`, `${lake}_number`]),
      ]);
      for (const [index, { name, type }] of columns.entries()) {
        const refuse = (key: string, message: string) =>
          context.addIssue({ code: 'custom', path: [index, key], message });
        if (taken.has(name)) refuse('name', 'a name that no other column of the table has');
        taken.add(name);
        const usual = defaults.find((column) => column.name === name);
        if (usual && usual.type !== type) refuse('type', `${usual.type}: reports count on that type of ${name}`);
      }
    })
    .describe(`Columns of the lake pulled out of \`properties\` of ${table}, beside the default set (docs/lake.md).`);

export const promoteSchema = z
  .strictObject({
    Logs: promotedColumns('Logs'),
    Events: promotedColumns('Events'),
    Metrics: promotedColumns('Metrics'),
  })
  .prefault({})
  .describe('Values of `properties` as columns of their own.');
