/** What the commands that maintain a lake report: `backup`, `backup --check`, `publish`, `repair`. */

/** What `backup --check` finds in one snapshot. */
export interface BackupCheck {
  readonly folder: string;
  /** Undefined when the manifest cannot be read. */
  readonly snapshot: number | undefined;
  readonly publishedAt: string | undefined;
  readonly files: number;
  readonly bytes: number;
  /** If false, a restore rebuilds the ledger. */
  readonly withLedger: boolean;
  /** `differs`: it cannot be read, or belongs to another snapshot. */
  readonly problems: readonly {
    readonly file: string;
    readonly problem: 'missing' | 'size' | 'sha256' | 'unreadable' | 'differs';
  }[];
}

export interface PublishReport {
  readonly dataDir: string;
  readonly snapshot: number;
  readonly files: number;
  readonly rows: number;
  /** Files that the ledger lists and that do not exist: the next run fetches their rows. */
  readonly missing: number;
}

/** What `repair` found. */
export interface RepairReport {
  /** Generations that are current again. */
  readonly files: number;
  readonly rows: number;
  /** Files that a later generation replaces; the next run removes them. */
  readonly leftOut: number;
  /** Files that were skipped. They are set aside under their name with the ending `.damaged`. */
  readonly damaged: readonly { readonly file: string; readonly problem: 'sha256' | 'unreadable' }[];
  /** The file that the old ledger was renamed to, if there was one. */
  readonly setAside: string | undefined;
}

/** What `backup` has copied. */
export interface BackupReport {
  readonly folder: string;
  readonly snapshot: number;
  readonly files: number;
  readonly bytes: number;
  /** The files that the folder did not hold yet. */
  readonly copiedFiles: number;
  readonly copiedBytes: number;
  /** Files of earlier snapshots, removed from the backup. */
  readonly removedFiles: number;
  /** False when a run held it: a restore rebuilds the ledger. */
  readonly withLedger: boolean;
  /** With `keep`: the dated snapshots that the folder holds now, the oldest first. */
  readonly kept?: readonly string[];
}
