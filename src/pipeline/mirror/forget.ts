/** `mirror forget`: a former mirror no longer exists, so nothing that was purged is there. */
import type { Config } from '../../config/config.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { showAddress } from '../../model/former-mirror.ts';
import type { MirrorAddress } from '../../model/mirror-address.ts';
import { openExisting } from '../maintenance/existing.ts';
import { formersOf, readRecord, writeRecord } from './record.ts';

/**
 * Takes it out of the record. Nothing is sent to it. Throws ConfigError unless exactly this address was recorded for a former mirror, and
 * what `openExisting` throws.
 */
export async function forgetMirror(config: Config, wanted: MirrorAddress, runtime: Runtime): Promise<void> {
  const files = runtime.files ?? systemFiles;
  const { dataDir } = config;
  await onDisk(dataDir, async () => {
    // The record is written only under the lock.
    await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
    const record = await readRecord(files, ledger.dataDir);
    const formers = record ? formersOf(record, config) : [];
    const found = formers.find(({ shown }) => shown.to === wanted.to && shown.endpoint === wanted.endpoint);
    if (!record || !found) {
      const known = formers.map(({ shown }) => showAddress(shown));
      throw new ConfigError(`No former mirror is recorded as ${showAddress(wanted)}.`, {
        hint:
          known.length === 0 ? 'This data directory knows of no former mirror.' : `It is one of: ${known.join(', ')}.`,
        where: { folder: dataDir },
      });
    }
    if (found.shown.mayBeConfigured)
      throw new ConfigError(`${wanted.to} may be the mirror of the configuration.`, {
        hint: 'An earlier version did not record its endpoint. Run `insights-etl mirror push` first: it shows whether it is that mirror.',
        where: { folder: dataDir },
      });
    const mirrors = record.mirrors.filter((each) => each !== found.written);
    await writeRecord(files, ledger.dataDir, { ...record, mirrors });
  });
}
