/** `tenant`: whose rows a tenant's are, and what happens to them when it is no longer wanted. */
import { Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { json, plural } from '../output/format.ts';
import { pinText } from '../output/quarantine.ts';
import { selectTenants } from './select.ts';
import { act, type Shell } from './shell.ts';

export function tenantCommand(shell: Shell): Command {
  const remove = new Command('remove')
    .description('Delete every byte of a tenant that the configuration no longer lists')
    .argument('<id>', 'the tenant, exactly')
    .requiredOption('--purge', 'yes, delete: files, answers, ledger, catalogue, records')
    .action((id: string, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        requireTenantId(id);
        if (session.config.tenants.some((tenant) => tenant.id === id))
          throw new ConfigError(`Tenant "${id}" is still configured: the next run would load it again.`, {
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
    .description('Say which tenantId the rows of a tenant carry, where the one first seen is wrong')
    .argument('<id>', 'the tenant, exactly')
    .argument('<value>', 'the tenantId of its rows; `insights-etl doctor` shows what they carry now')
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
    .description("Whose rows are a tenant's; deleting a tenant that is no longer wanted")
    .addCommand(pin)
    .addCommand(remove)
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl tenant pin riviera-paris T-0042\n  $ insights-etl tenant remove riviera-paris --purge',
    );
}

function requireTenantId(id: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id)) return;
  throw new ConfigError(`"${id}" is not the id of a tenant.`, { hint: 'Give one id, without * and ?.' });
}
