/** `promote`: which values of `properties` become columns of the lake, in addition to the default ones. */
import { z } from 'zod';
import { parseJsonPath } from '../kernel/json-path.ts';
import { PROMOTED_TYPES } from '../model/promoted.ts';
import { TABLES, type TableName } from '../model/tables.ts';

const exactPath = z.string().refine((text) => parseJsonPath(text)?.every(({ isPattern }) => !isPattern) === true, {
  error: 'keys joined by dots such as registrationSource.medium; double quotes around a key with a dot or a star',
});
const promoted = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,62}$/, { error: 'lower-case letters, digits and _, starting with a letter' })
    .describe('Name of the column. The name of a default column replaces its paths.'),
  type: z
    .enum(PROMOTED_TYPES)
    .default('text')
    .describe('Type of the column; `list` is a list of texts, `host` the host of a URL. Other values become null.'),
  paths: z.array(exactPath).min(1).describe('Paths in `properties`; the first one that exists is used.'),
  comment: z.string().max(200).default('').describe('Comment on the column in the catalogue.'),
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
        const replaced = defaults.find((column) => column.name === name);
        if (replaced && replaced.type !== type)
          refuse('type', `${replaced.type}, because reports depend on that type of ${name}`);
      }
    })
    .describe(`Columns of the lake from \`properties\` of ${table}, in addition to the default ones (docs/lake.md).`);

export const promoteSchema = z
  .strictObject({
    Logs: promotedColumns('Logs'),
    Events: promotedColumns('Events'),
    Metrics: promotedColumns('Metrics'),
  })
  .prefault({})
  .describe('Values of `properties` as columns of their own.');
