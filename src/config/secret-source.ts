/** Where to read a secret. The configuration never contains the secret itself. */
import { z } from 'zod';

export const secretSource = z
  .strictObject({
    env: z.string().min(1).optional().describe('Name of the environment variable that holds the secret.'),
    file: z
      .string()
      .min(1)
      .optional()
      .describe('File that contains only the secret; relative to the folder of the configuration file.'),
    command: z.string().min(1).optional().describe('Shell command that prints the secret, e.g. `pass show insights`.'),
  })
  .refine((source) => Object.keys(source).length === 1, { error: 'exactly one of env, file, command' })
  // For editors: the JSON Schema does not have the refinement.
  .meta({ minProperties: 1, maxProperties: 1 });

export type SecretSource = z.output<typeof secretSource>;
