/** What the inventory of a data directory (data-dir.ts) says of each file. */

export type Purge =
  /** Deletes the folders and files that have the tenant's name. */
  | 'deletes-of-tenant'
  /** Deletes it: it may hold data of the tenant and cannot be cleaned reliably. */
  | 'deletes'
  /** Deletes the tenant's rows and rewrites the file: a database keeps deleted rows in its free blocks. */
  | 'rewrites'
  /** Publishes without the tenant, which replaces the file. */
  | 'republishes'
  /** Publishes without the tenant, and removes all entries of the log from before. */
  | 'restarts'
  /** Removes the tenant's members from the JSON. */
  | 'edits'
  /** Emptied by the recovery that every purge starts with. */
  | 'recovers'
  | 'leaves';

type Backup = 'copies' | 'leaves';

type Recovery =
  /** Deletes unfinished forms and files that the ledger does not know, and reports files that are missing. */
  'compares-with-ledger' | 'deletes-unfinished' | 'deletes' | 'leaves';

/**
 * The phases of a push to the mirror, in their order: a later one never names what an earlier one has not written. data: files that never
 * change. log: entries of a table's log. pointer: says where a log ends. state: what belongs to one snapshot and is restored with it.
 * shown: for readers of the mirror, replaced after the snapshot.
 */
export type MirrorPhase = 'data' | 'log' | 'pointer' | 'state' | 'shown';

export interface DataEntry {
  /** Relative to the data directory. `<tenant>` and the like are placeholders; a final `**` means everything below. */
  readonly path: string;
  readonly holds: string;
  /** The folder or file of the source that writes it. */
  readonly writtenBy: string;
  /** Nothing in a data directory holds a credential. */
  readonly sensitive: readonly ('rows' | 'tenant names')[];
  readonly mayBeDeleted: boolean;
  /** What deleting it costs, or why it must not be deleted. */
  readonly cost: string;
  /** Endings of the names under which it is written before it gets its own. */
  readonly unfinished: readonly string[];
  readonly purge: Purge;
  readonly backup: Backup;
  readonly recovery: Recovery;
  /** When a push copies it to the mirror. Undefined: never. */
  readonly mirror?: MirrorPhase;
  /** What `doctor` counts such a file as. Undefined: it is part of a healthy data directory. */
  readonly leftover?: string;
}
