/** What the commands of the mirror report, and the push after a run. */
import type { FormerMirrors } from './former-mirror.ts';
import type { ReportedError } from './report.ts';

/** What the push after a run did. */
export type MirrorOutcome =
  | {
      readonly mirror: string;
      readonly snapshot: number;
      readonly uploadedFiles: number;
      readonly uploadedBytes: number;
      readonly removedFiles: number;
    }
  | { readonly error: ReportedError };

/** What `mirror push` has done, and what the mirror holds now. */
export interface MirrorPushReport {
  /** Its address. */
  readonly mirror: string;
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly pushedAt: string;
  /** Files of the snapshot. */
  readonly files: number;
  readonly bytes: number;
  readonly uploadedFiles: number;
  readonly uploadedBytes: number;
  /** Objects of earlier snapshots whose grace period had ended. */
  readonly removedFiles: number;
  /** The store refuses the second of two writers that start at the same moment. */
  readonly conditional: boolean;
}

export interface MirrorStatusReport {
  readonly mirror: string;
  /** Undefined: there is no mirror yet. */
  readonly held:
    | {
        readonly snapshot: number;
        readonly run: string;
        readonly publishedAt: string;
        readonly pushedAt: string;
        readonly writer: string;
        /** This data directory writes it. */
        readonly isOwn: boolean;
        readonly conditional: boolean;
        /** Objects of earlier snapshots that are not deleted yet. */
        readonly superseded: number;
      }
    | undefined;
  /** Objects of the mirror, and their bytes. */
  readonly objects: number;
  readonly bytes: number;
  /** The snapshot of this data directory; undefined when it has none. */
  readonly published: number | undefined;
  /** Files of that snapshot that the mirror does not hold. */
  readonly missing: number;
  /** Former mirrors where a tenant that was purged may still be. */
  readonly purgeDue: FormerMirrors;
}

export interface MirrorCheck {
  readonly mirror: string;
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly files: number;
  readonly bytes: number;
  /** All objects were downloaded. */
  readonly deep: boolean;
  readonly problems: readonly {
    readonly object: string;
    readonly problem: 'missing' | 'size' | 'sha256' | 'foreign';
  }[];
  readonly exitCode: number;
}
