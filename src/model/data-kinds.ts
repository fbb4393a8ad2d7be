/** What kinds of files of a data directory have in common, for the inventory (data-dir.ts). */
import { TEMPORARY } from '../kernel/files.ts';
import { WAL } from './data-names.ts';

export const FILE = { unfinished: [TEMPORARY], backup: 'leaves', recovery: 'deletes-unfinished' } as const;
export const DATABASE = { ...FILE, unfinished: [TEMPORARY, TEMPORARY + WAL] } as const;
export const ROWS = { sensitive: ['rows', 'tenant names'] } as const;
export const TENANTS = { sensitive: ['tenant names'] } as const;
export const NEXT_RUN = { mayBeDeleted: true, cost: 'the next run publishes it again' } as const;

export const MART = {
  writtenBy: 'src/load/marts',
  ...ROWS,
  mayBeDeleted: true,
  cost: 'the next run computes it again',
  ...FILE,
  purge: 'republishes',
  backup: 'copies',
  recovery: 'compares-with-ledger',
  mirror: 'data',
} as const;
export const LOG_OF_TABLE = {
  writtenBy: 'src/load/publish/delta',
  ...TENANTS,
  ...NEXT_RUN,
  // Only a restore writes next to the log. Publishing writes in the work folder, because readers list the log.
  ...FILE,
  purge: 'restarts',
  mirror: 'log',
} as const;
export const LOG_OF_MART = { ...LOG_OF_TABLE, sensitive: [], purge: 'republishes' } as const;

export const BATCH = '<tenant>/<table>/<batch>';
export const LANDED = {
  ...FILE,
  ...ROWS,
  writtenBy: 'src/extract/fetch',
  mayBeDeleted: true,
  cost: 'the next run fetches the pages again',
  purge: 'deletes-of-tenant',
  // The run that loads the batch removes what is unfinished.
  recovery: 'leaves',
  leftover: 'landed file',
} as const;
export const KEPT = {
  ...ROWS,
  writtenBy: 'src/pipeline',
  mayBeDeleted: true,
  cost: 'no command reads it',
  unfinished: [],
  purge: 'deletes-of-tenant',
  backup: 'leaves',
  recovery: 'leaves',
} as const;
export const SET_ASIDE = {
  ...ROWS,
  writtenBy: 'src/load/maintenance/repair.ts',
  mayBeDeleted: true,
  cost: 'no command reads it, but rows in quarantine at the time of the repair are only there',
  unfinished: [],
  // It may be damaged, so that rows could not be deleted from it one tenant at a time.
  purge: 'deletes',
  backup: 'leaves',
  recovery: 'leaves',
} as const;

export const RESTORE_MARK = {
  ...TENANTS,
  writtenBy: 'src/load/maintenance/restore-mark.ts',
  mayBeDeleted: false,
  cost: 'without it, a restore that was cut off cannot be continued',
  unfinished: [],
  purge: 'deletes',
  backup: 'leaves',
  recovery: 'leaves',
} as const;

export const NESTED = {
  ...ROWS,
  unfinished: [],
  // A data directory of its own: commands work on one at a time.
  purge: 'leaves',
  backup: 'leaves',
  recovery: 'leaves',
} as const;
