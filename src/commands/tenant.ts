/** `tenant pin` corrects the tenantId that a tenant's rows must have; `tenant remove` deletes a tenant's data. */
import { Command } from 'commander';
import { TENANT_ID } from '../config/schema.ts';
import { ConfigError } from '../kernel/errors.ts';
import { json, plural } from '../output/format.ts';
import { pinText } from '../output/quarantine.ts';
import { selectTenants } from './select.ts';
import { act, type Shell } from './shell.ts';

export function tenantCommand(shell: Shell): Command {
  const remove = new Command('remove')
    .description('Delete all data of a tenant that is no longer in the configuration')
    .argument('<id>', 'exact id of the tenant')
    .requiredOption('--purge', 'confirm: delete its files, landed pages, ledger entries, catalogue and records')
    .action((id: string, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        requireTenantId(id);
        if (session.config.tenants.some((tenant) => tenant.id === id))
          throw new ConfigError(`Tenant "${id}" is still configured, so the next run would load it again.`, {
            hint: 'Remove it from the configuration first.',
          });
        const { purgeTenant } = await import('../pipeline/maintenance/purge.ts');
        const report = await purgeTenant(session.config, id, session.runtime);
        const { rows, files } = report;
        session.print(
          session.json ? `${json(report)}\n` : `deleted ${plural(rows, 'row')} in ${plural(files, 'file')} of ${id}\n`,
        );
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
        const { pinTenant } = await import('../pipeline/maintenance/quarantine.ts');
        const report = await pinTenant(session.config, id, value, session.runtime);
        session.print(session.json ? `${json(report)}\n` : pinText(report, session.colour));
        return 0;
      }),
    );
  return new Command('tenant')
    .addCommand(pin)
    .addCommand(remove)
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl tenant pin riviera-paris T-0042\n  $ insights-etl tenant remove riviera-paris --purge',
    );
}

function requireTenantId(id: string): void {
  if (TENANT_ID.test(id)) return;
  throw new ConfigError(`"${id}" is not a tenant id.`, { hint: 'Give one exact id; * and ? are not allowed here.' });
}
