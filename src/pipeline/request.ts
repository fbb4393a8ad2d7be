/** What a command asks of the pipeline. */
import type { Instant } from '../kernel/instant.ts';
import type { TableName } from '../model/tables.ts';

/** How each table is compared. Without `from`, `to` and `deep` a run compares the last `reconcile.depthDays` days. */
export interface TableRequest {
  /** Compare exactly `[from, to)`: a backfill. */
  readonly from?: Instant;
  readonly to?: Instant;
  /** Compare the whole range of the source. */
  readonly deep?: boolean;
  /** Also fetch the hours whose content was never compared; compares the whole range of the source, unless `from` or `to` is set. */
  readonly proveContent?: boolean;
  /** Fetch every hour of the range again, even where nothing differs. */
  readonly refetch?: boolean;
  /** Remove rows that vanished at the source even if a run refuses by default because there are many. */
  readonly allowDeletes?: boolean;
}

export interface RunRequest extends TableRequest {
  /** The id of the run. @default a new one */
  readonly run?: string;
  /** @default all configured tenants */
  readonly tenants?: readonly string[];
  /** @default all enabled tables */
  readonly tables?: readonly TableName[];
}
