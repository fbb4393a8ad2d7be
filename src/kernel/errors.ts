/**
 * All errors that the program raises on purpose. Each says what happened, where, and what to do next (`hint`), and has one
 * documented exit code. Messages never contain a credential, a row or an id.
 */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  config: 2,
  auth: 3,
  source: 4,
  partial: 5,
  locked: 6,
  newerState: 7,
  massLoss: 8,
  damaged: 9,
  disk: 10,
  stopped: 11,
  forced: 12,
  budget: 13,
  expired: 14,
  mirror: 15,
  mirrorTaken: 16,
  shards: 17,
} as const;

export type Failure = Exclude<keyof typeof EXIT, 'ok'>;

export interface ErrorDetail {
  /** The next step, one imperative sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Where: tenant, table, window, status, file. Never content. */
  readonly where?: Readonly<Record<string, string | number>>;
}

/** The base of all typed errors; `failure` names what the caller can do about it and gives the exit code. */
export class InsightsError extends Error {
  readonly failure: Failure;
  readonly hint: string | undefined;
  readonly where: Readonly<Record<string, string | number>>;

  constructor(failure: Failure, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = new.target.name;
    this.failure = failure;
    this.hint = detail.hint;
    this.where = detail.where ?? {};
  }

  get exitCode(): number {
    return EXIT[this.failure];
  }
}

/** A key, flag or value that cannot be used. Nothing was changed. */
export class ConfigError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('config', message, detail);
  }
}

/** A setting of one table is missing or cannot be used. The tenant's other tables are loaded. */
export class TableConfigError extends ConfigError {}

/** The source refused the credential, its scope or the tenant (401, 403, 404). Stops this tenant, not the others. */
export class AuthError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('auth', message, detail);
  }
}

/**
 * spent: all retries failed. refused: the engine rejected the query itself, and its error names a part of it. unusable: any other
 * answer that is a failure. unexpected: the answer cannot be read. certificate: the source's certificate cannot be
 * verified. edge: something between this machine and the source answered in its place. timeout:
 * even the smallest query got no answer in time.
 */
export type SourceFailure = 'spent' | 'timeout' | 'refused' | 'unusable' | 'unexpected' | 'certificate' | 'edge';

/** The source gave no usable answer: all retries failed, or the answer cannot be read. Stops this table. */
export class SourceError extends InsightsError {
  readonly reason: SourceFailure | undefined;

  constructor(message: string, detail: ErrorDetail & { readonly reason?: SourceFailure } = {}) {
    super('source', message, detail);
    this.reason = detail.reason;
  }
}

/** One page of a table cannot be fetched or loaded. The other pages can. */
export class PartError extends SourceError {
  readonly page: string;

  constructor(message: string, detail: ErrorDetail & { readonly page: string; readonly reason?: SourceFailure }) {
    super(message, { ...detail, where: { ...detail.where, page: detail.page } });
    this.page = detail.page;
  }
}

/** The rows of a page do not match the digests that came with them. Fetching the page again may help. */
export class AlteredPageError extends PartError {}

/** True when the engine rejected the query itself, so that another query may get an answer. */
export function isRefusedQuery(error: unknown): boolean {
  return error instanceof SourceError && error.reason === 'refused';
}

/** Rows vanished at the source beyond `deletes.maxShare`: nothing of the table was changed. */
export class MassLossError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('massLoss', message, detail);
  }
}

/** Another process is using the data directory. */
export class LockedError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('locked', message, detail);
  }
}

/** The data directory was written by a newer version of the program. */
export class NewerStateError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('newerState', message, detail);
  }
}

/** The lake's files and its ledger disagree. */
export class DamagedError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('damaged', message, detail);
  }
}

/**
 * The shards of a data directory contradict each other: a tenant is in a shard that is not its own, or there are shards of several
 * numbers. Nothing was changed.
 */
export class ShardsError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('shards', message, detail);
  }
}

/** The local disk cannot be used: it is full or read-only, or permission is missing. */
export class DiskError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('disk', message, detail);
  }
}

/** A signal stopped the run. Landed pages are kept and the next run continues from them. */
export class StoppedError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('stopped', message, detail);
  }
}

/** The run may send no further call, or none right now. Landed pages are kept and the next run continues from them. */
export class BudgetError extends InsightsError {
  /** Which limit was reached: the run's calls, the run's minutes, or the tenant's quiet hours. */
  readonly limit: 'calls' | 'minutes' | 'quiet';

  constructor(message: string, detail: ErrorDetail & { readonly limit: BudgetError['limit'] }) {
    super('budget', message, detail);
    this.limit = detail.limit;
  }
}

/**
 * Why the mirror cannot be used. client: the package that talks to the store is missing. credentials: none, or refused. denied: they
 * lack a right. bucket: it does not exist. region: the bucket is in another one. clock: this machine's clock is wrong. unavailable:
 * all retries failed. damaged: what the mirror holds is not what was written. conflict: another file has the name of one to write.
 * version: a newer program wrote it. disk: that of a folder is full, read-only or not mounted. gone: this data directory has written it, and it is not there any more.
 */
export type MirrorFailure =
  | 'client'
  | 'credentials'
  | 'denied'
  | 'bucket'
  | 'region'
  | 'clock'
  | 'unavailable'
  | 'damaged'
  | 'conflict'
  | 'version'
  | 'disk'
  | 'gone'
  | 'unexpected';

/** The mirror cannot be read or written. The lake is not affected, and the next run pushes what is missing. */
export class MirrorError extends InsightsError {
  readonly reason: MirrorFailure;

  constructor(message: string, detail: ErrorDetail & { readonly reason: MirrorFailure }) {
    super('mirror', message, detail);
    this.reason = detail.reason;
  }
}

/** The mirror belongs to another data directory. Nothing was written. */
export class MirrorTakenError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('mirrorTaken', message, detail);
  }
}

/** The system's code of an error such as ENOENT; undefined if it has none. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
