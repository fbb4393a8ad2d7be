/** `tenant remove`: what happens to the data of a tenant that is no longer wanted. */
import { Command } from 'commander';
import { ConfigError } from '../errors.ts';
import { json, plural } from '../output/format.ts';
import { act, type Shell } from './shell.ts';

export function tenantCommand(shell: Shell): Command {
  const remove = new Command('remove')
    .description('Delete every byte of a tenant that the configuration no longer lists')
    .argument('<id>', 'the tenant, exactly')
    .requiredOption('--purge', 'yes, delete: files, answers, ledger, catalogue, records')
    .action((id: string, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id))
          throw new ConfigError(`"${id}" is not the id of a tenant.`, { hint: 'Give one id, without * and ?.' });
        if (session.config.tenants.some((tenant) => tenant.id === id))
          throw new ConfigError(`Tenant "${id}" is still configured: the next run would load it again.`, {
            hint: 'Remove it from the configuration first.',
          });
        const { purgeTenant } = await import('../pipeline/purge.ts');
        const report = await purgeTenant(session.config, id, session.runtime);
        const { rows, files } = report;
        session.print(
          session.json ? `${json(report)}\n` : `deleted ${plural(rows, 'row')} in ${plural(files, 'file')} of ${id}\n`,
        );
        return 0;
      }),
    );
  return new Command('tenant')
    .description('What happens to a tenant that is no longer wanted')
    .addCommand(remove)
    .addHelpText('after', '\nExamples:\n  $ insights-etl tenant remove riviera-paris --purge');
}
