/** Opens the ledger for commands that work on a lake and must not create one. */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { onDisk, pathExists } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { openLake, requireShards } from '../open-lake.ts';
import type { LakeSettings, Ledger } from '../../load/ledger/ledger.ts';
import { LEDGER_FILE, RESTORE_FILE, STORE_FOLDER } from '../../model/data-dir.ts';
import { lakeSettings } from '../lake-settings.ts';

/** Throws ConfigError, and creates nothing, when the folder holds no lake; otherwise as `openLedger`. */
export async function openExisting(
  config: Config,
  runtime: Runtime,
  settings: Partial<LakeSettings> = {},
): Promise<Ledger> {
  await requireShards(config);
  await requireLake(config.dataDir, runtime);
  return openLake(config, { ...lakeSettings(config), ...settings }, runtime);
}

/** Throws ConfigError when there is neither a ledger nor a store nor the mark of a restore, DiskError when that cannot be known. */
export async function requireLake(dataDir: string, { files }: Pick<Runtime, 'files'>): Promise<void> {
  for (const name of [LEDGER_FILE, STORE_FOLDER, RESTORE_FILE])
    if (await onDisk(dataDir, () => pathExists(join(dataDir, name), files))) return;
  throw new ConfigError('Nothing has been loaded into this data directory yet.', {
    hint: 'Run `insights-etl run` first, or name another folder with --data-dir.',
    where: { folder: dataDir },
  });
}
