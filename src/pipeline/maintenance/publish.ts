/** `publish`: writes what readers see again, from the ledger and the files. Sends no call and needs no credential. */
import type { Config } from '../../config/config.ts';
import { onDisk } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { publish } from '../../load/publish/publish.ts';
import { lakeSize } from '../../load/store/current-files.ts';
import type { PublishReport } from '../../model/maintenance-report.ts';
import { openExisting } from './existing.ts';

/**
 * Publishes catalogue, manifest and links, with `again` also if nothing has changed: they may be damaged, or name the files of a folder that the
 * lake was moved from. Throws what `openExisting` throws.
 */
export async function publishLake(
  config: Config,
  runtime: Runtime,
  { again = true }: { readonly again?: boolean } = {},
): Promise<PublishReport> {
  const { dataDir } = config;
  return onDisk(dataDir, async () => {
    await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
    const { lost } = await recover(ledger);
    const { snapshot } = await publish(ledger, { run: 'publish', head: true, again });
    const held = await lakeSize(ledger);
    return { dataDir: ledger.dataDir, snapshot, ...held, missing: lost };
  });
}
