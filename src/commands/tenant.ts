/** `tenant list`; `tenant pin` corrects the tenantId that a tenant's rows must have; `tenant remove` deletes a tenant's data. */
import { Command, Option } from 'commander';
import type { Config } from '../config/config.ts';
import { TENANT_ID } from '../config/schema.ts';
import { ConfigError } from '../kernel/errors.ts';
import { systemFiles } from '../kernel/files.ts';
import { count, plural } from '../kernel/plural.ts';
import { shardIndex, showShard } from '../model/shard.ts';
import { bytes, json } from '../output/format.ts';
import { formerMirrorsText, mirrorsBeforePurgeText } from '../output/mirror.ts';
import { pinText } from '../output/quarantine.ts';
import { renderTable } from '../output/table.ts';
import type { Style } from '../output/terminal.ts';
import type { TenantEntry } from '../pipeline/maintenance/tenants.ts';
import { printAndPush } from './printed-push.ts';
import { requireInShard, selectTenants } from './select.ts';
import { act, type Session, type Shell } from './shell.ts';

interface RemoveOptions {
  readonly purge?: boolean;
  readonly dryRun?: boolean;
  readonly keep?: boolean;
}

export function tenantCommand(shell: Shell): Command {
  const remove = new Command('remove')
    .description('Delete all data of a tenant that is no longer in the configuration')
    .argument('<id>', 'exact id of the tenant')
    .option('--purge', 'confirm: delete its files, landed pages, ledger entries, catalogue and records')
    .option('--dry-run', 'show what would be deleted and delete nothing')
    .addOption(
      new Option('--keep', 'give up a purge that was cut off, and keep what it has not deleted').conflicts([
        'purge',
        'dryRun',
      ]),
    )
    .action((id: string, { purge, dryRun = false, keep }: RemoveOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        requireTenantId(id);
        requireInShard(session.config, id);
        await requireShardOf(session.config, id);
        if (keep === true) return keepTenant(session, id);
        if (purge !== true && !dryRun)
          throw new ConfigError('This deletes all data of the tenant, so it needs --purge.', {
            hint: 'Add --dry-run to see what would be deleted, or --purge to delete it.',
          });
        const mustBeCutOff = session.config.tenants.some((tenant) => tenant.id === id);
        if (mustBeCutOff && !(await isCutOff(session, id)))
          throw new ConfigError(`Tenant "${id}" is still configured, so the next run would load it again.`, {
            hint: 'Remove it from the configuration first.',
          });
        const { purgeTenant } = await import('../pipeline/maintenance/purge.ts');
        const { config, runtime, signal } = session;
        const report = await purgeTenant(config, id, runtime, {
          dryRun,
          mustBeCutOff,
          removeElsewhere: async () => {
            const { forgetInSite } = await import('./site.ts');
            await forgetInSite(config, signal);
          },
        });
        const { found, rows, files } = report;
        const what = `${plural(rows, 'row')} in ${plural(files, 'file')} of ${id}`;
        const done = dryRun ? `would delete ${what}; nothing was changed\n` : `deleted ${what}\n`;
        const next = mustBeCutOff && !dryRun ? `${id} is configured, so the next run loads it again\n` : '';
        const text = found
          ? done + next
          : `this data directory holds nothing of a tenant "${id}"; a purge before this one is still due in a mirror\n`;
        if (!dryRun)
          return printAndPush(session, { report, text }, async () => {
            const { duePurges } = await import('../pipeline/mirror/record.ts');
            const due = await duePurges(runtime.files ?? systemFiles, config);
            return { report: due, text: formerMirrorsText(due, found ? id : undefined) };
          });
        const former = found ? mirrorsBeforePurgeText(report, id) : formerMirrorsText(report);
        session.print(session.json ? `${json(report)}\n` : session.withShard(text + former));
        return 0;
      }),
    );
  const pin = new Command('pin')
    .description('Set the tenantId that rows of a tenant must have, if the first one seen was wrong')
    .argument('<id>', 'exact id of the tenant')
    .argument('<value>', 'tenantId of its rows; `insights-etl doctor` shows the one they have now')
    .addHelpText('after', '\nExamples:\n  $ insights-etl tenant pin riviera-paris T-0042')
    .action((id: string, value: string, _options: object, command: Command) =>
      act(shell, command, { tenants: true }, async (session) => {
        requireTenantId(id);
        selectTenants(session.config, [id]);
        await requireShardOf(session.config, id);
        const { pinTenant } = await import('../pipeline/maintenance/quarantine.ts');
        const report = await pinTenant(session.config, id, value, session.runtime);
        session.print(session.json ? `${json(report)}\n` : session.withShard(pinText(report, session.style)));
        return 0;
      }),
    );
  const list = new Command('list')
    .description('List the tenants in the configuration and in the data directory, with their rows; sends no calls')
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { listTenants } = await import('../pipeline/maintenance/tenants.ts');
        const tenants = await listTenants(session.config, session.runtime);
        session.print(session.json ? `${json({ tenants })}\n` : tenantsText(tenants, session.style));
        return 0;
      }),
    );
  return new Command('tenant')
    .addCommand(list)
    .addCommand(pin)
    .addCommand(remove)
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl tenant list\n  $ insights-etl tenant pin riviera-paris T-0042\n  $ insights-etl tenant remove riviera-paris --dry-run\n  $ insights-etl tenant remove riviera-paris --purge\n  $ insights-etl tenant remove riviera-paris --keep     if that was cut off, and you have changed your mind',
    );
}

async function isCutOff({ config: { dataDir }, runtime }: Session, id: string): Promise<boolean> {
  const { cutOffPurges } = await import('../pipeline/cut-off-purges.ts');
  const found = await cutOffPurges(runtime.files ?? systemFiles, dataDir);
  return found.some(({ tenant }) => tenant === id);
}

async function keepTenant(session: Session, id: string): Promise<number> {
  const { giveUpPurge } = await import('../pipeline/maintenance/end-purges.ts');
  const report = await giveUpPurge(session.config, id, session.runtime);
  const { rows, files } = report;
  const kept =
    rows === 0
      ? `the purge of ${id} is given up; it had deleted all rows of ${id}`
      : `the purge of ${id} is given up; ${plural(rows, 'row')} in ${plural(files, 'file')} are kept`;
  const isLoaded = session.config.tenants.some((tenant) => tenant.id === id);
  const next = isLoaded ? 'the next run loads what the source has' : `${id} is not configured, so no run loads it`;
  session.print(session.json ? `${json(report)}\n` : `${kept}\n${next}\n`);
  return 0;
}

function tenantsText(tenants: readonly TenantEntry[], style: Style): string {
  if (tenants.length === 0) return 'no tenant is configured, and the data directory holds none\n';
  const columns = [
    { title: 'tenant' },
    { title: 'configured' },
    { title: 'rows', align: 'right' },
    { title: 'files', align: 'right' },
    { title: 'size', align: 'right' },
    { title: 'first' },
    { title: 'last' },
  ] as const;
  const rows = tenants.map((entry) => [
    entry.tenant,
    entry.configured ? 'yes' : 'no',
    count(entry.rows),
    count(entry.files),
    bytes(entry.bytes),
    entry.first ?? '',
    entry.last ?? '',
  ]);
  return renderTable(columns, rows, style);
}

/** Throws ConfigError without a shard in a divided lake. Where several lakes or numbers are, opening the ledger says so. */
async function requireShardOf({ shard, sharedDir }: Config, tenant: string): Promise<void> {
  const { readReshard, shardsWithLedger } = await import('../query/shards.ts');
  if (shard || (await readReshard(sharedDir))) return;
  const [of = 1, ...others] = new Set((await shardsWithLedger(sharedDir)).map((each) => each.of));
  if (of === 1 || others.length > 0) return;
  const own = showShard({ index: shardIndex(tenant, of), of });
  throw new ConfigError(`The lake in this data directory is divided into ${plural(of, 'shard')}.`, {
    hint: `Tenant "${tenant}" belongs to shard ${own}: give --shard ${own}.`,
    where: { folder: sharedDir },
  });
}

function requireTenantId(id: string): void {
  if (TENANT_ID.test(id)) return;
  throw new ConfigError(`"${id}" is not a tenant id.`, { hint: 'Give one exact id; * and ? are not allowed here.' });
}
