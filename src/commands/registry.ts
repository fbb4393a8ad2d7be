/**
 * The commands, in the order of `--help`. Only the one that runs is loaded: loading all of them takes several times longer than
 * `--help` may take.
 */
import type { Command } from 'commander';
import type { Shell } from './shell.ts';

interface Entry {
  readonly name: string;
  readonly description: string;
  readonly load: (shell: Shell) => Promise<Command>;
}

export const COMMANDS: readonly Entry[] = [
  {
    name: 'run',
    description: 'Compare the lake with the source, fetch what differs, verify it and publish it',
    load: async (shell) => (await import('./run.ts')).runCommand(shell),
  },
  {
    name: 'backfill',
    description: 'Like run, for one range of the past; `reconcile.depthDays` does not limit it',
    load: async (shell) => (await import('./run.ts')).backfillCommand(shell),
  },
  {
    name: 'plan',
    description: 'Show what a run would fetch (rows, bytes, calls, time) without fetching any page',
    load: async (shell) => (await import('./run.ts')).planCommand(shell),
  },
  {
    name: 'verify',
    description: 'Compare the lake with the source without changing anything',
    load: async (shell) => (await import('./inspect.ts')).verifyCommand(shell),
  },
  {
    name: 'status',
    description: 'Show rows, range, freshness, coverage and last run of each table; sends no calls',
    load: async (shell) => (await import('./inspect.ts')).statusCommand(shell),
  },
  {
    name: 'query',
    description: 'Run one of the reports in queries/kpi',
    load: async (shell) => (await import('./ask.ts')).queryCommand(shell),
  },
  {
    name: 'sql',
    description: 'Run selects over the catalogue, read-only: one statement, a file, a pipe or a prompt',
    load: async (shell) => (await import('./sql.ts')).sqlCommand(shell),
  },
  {
    name: 'export',
    description: 'Write tables, views, a report or a select to one file',
    load: async (shell) => (await import('./export.ts')).exportCommand(shell),
  },
  {
    name: 'check',
    description: 'Run the checks in queries/checks over the lake; sends no calls',
    load: async (shell) => (await import('./check.ts')).checkCommand(shell),
  },
  {
    name: 'properties',
    description: 'List the JSON paths of each type: inferred types, rows, first and last seen; prints no values',
    load: async (shell) => (await import('./properties.ts')).propertiesCommand(shell),
  },
  {
    name: 'privacy',
    description: 'Find personal data that no privacy rule covers',
    load: async (shell) => (await import('./privacy.ts')).privacyCommand(shell),
  },
  {
    name: 'dictionary',
    description: 'Document every table, view and column of the lake, with type and meaning',
    load: async (shell) => (await import('./dictionary.ts')).dictionaryCommand(shell),
  },
  {
    name: 'dashboard',
    description: 'Show adoption and proof as a page in the browser, or write it as static files; sends no calls',
    load: async (shell) => (await import('./dashboard.ts')).dashboardCommand(shell),
  },
  {
    name: 'schedule',
    description: 'Stay up and run at each slot of a cron expression; SIGTERM stops it cleanly',
    load: async (shell) => (await import('./schedule.ts')).scheduleCommand(shell),
  },
  {
    name: 'doctor',
    description: 'Check this machine, and for each tenant: address, key, scope, clock, proof, columns, limits',
    load: async (shell) => (await import('./inspect.ts')).doctorCommand(shell),
  },
  {
    name: 'rebuild',
    description: 'Rewrite files that were written under other promoted columns or privacy rules; sends no calls',
    load: async (shell) => (await import('./rebuild.ts')).rebuildCommand(shell),
  },
  {
    name: 'repair',
    description: 'Rebuild the ledger (state.duckdb) from the Parquet files',
    load: async (shell) => (await import('./inspect.ts')).repairCommand(shell),
  },
  {
    name: 'reshard',
    description: 'Divide the lake into another number of shards (`--shard`); sends no calls and fetches nothing again',
    load: async (shell) => (await import('./reshard.ts')).reshardCommand(shell),
  },
  {
    name: 'publish',
    description: 'Write the catalogue, the manifest and lake/ again from the ledger; sends no calls and needs no key',
    load: async (shell) => (await import('./publish.ts')).publishCommand(shell),
  },
  {
    name: 'backup',
    description: 'Copy the published snapshot into a folder, even while a run is writing; later copies are incremental',
    load: async (shell) => (await import('./backup.ts')).backupCommand(shell),
  },
  {
    name: 'mirror',
    description: 'Copy the lake to an object store after each run: show, check or push that copy',
    load: async (shell) => (await import('./mirror.ts')).mirrorCommand(shell),
  },
  {
    name: 'restore',
    description: 'Make a lake of a backup or a mirror in a new folder: check and copy its files; sends no calls',
    load: async (shell) => (await import('./backup.ts')).restoreCommand(shell),
  },
  {
    name: 'init',
    description: 'Write a commented configuration file from a few questions or from flags, then check it',
    load: async (shell) => (await import('./init.ts')).initCommand(shell),
  },
  {
    name: 'demo',
    description: 'Try everything without an account: a sandbox API, a load, its proof, reports (= npm start)',
    load: async (shell) => (await import('./demo.ts')).demoCommand(shell),
  },
  {
    name: 'config',
    description: 'Check the configuration, or show the settings in force',
    load: async (shell) => (await import('./config.ts')).configCommand(shell),
  },
  {
    name: 'sandbox',
    description: 'Serve an Insights API on this machine that executes KQL over synthetic or recorded rows',
    load: async (shell) => (await import('./sandbox.ts')).sandboxCommand(shell),
  },
  {
    name: 'completion',
    description: 'Print a completion script for your shell',
    load: async (shell) => (await import('./completion.ts')).completionCommand(shell),
  },
  {
    name: 'tenant',
    description: 'List tenants, correct the tenantId of one, or delete the data of a former one',
    load: async (shell) => (await import('./tenant.ts')).tenantCommand(shell),
  },
  {
    name: 'quarantine',
    description: 'List, show, replay or drop the rows that could not be loaded',
    load: async (shell) => (await import('./quarantine.ts')).quarantineCommand(shell),
  },
];
