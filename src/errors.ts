/**
 * Every error the program raises on purpose. Each says what happened, where, and what to do next (`hint`), and maps
 * to one documented exit code. Messages never hold a credential, a row or an id.
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

/** A key, flag or value that cannot be used; nothing has been changed. */
export class ConfigError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('config', message, detail);
  }
}

/** The source refused the credential, its scope or the tenant (401, 403, 404): stop this tenant, spare the others. */
export class AuthError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('auth', message, detail);
  }
}

/** The source did not answer usably: retries are spent, or the answer is not one we understand. Stop this table. */
export class SourceError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('source', message, detail);
  }
}

/** One part of a table cannot be delivered or loaded (`where.page`): the other parts can. */
export class PartError extends SourceError {}

/** Rows vanished at the source beyond `deletes.maxShare`: nothing of the table was changed. */
export class MassLossError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('massLoss', message, detail);
  }
}

/** Another process holds the data directory. */
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

/** The local disk refused: full, read-only, no permission. */
export class DiskError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('disk', message, detail);
  }
}

/** Asked to stop by a signal: what is landed is kept, the next run goes on from there. */
export class StoppedError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('stopped', message, detail);
  }
}

/** No call may be sent any more in this run, or not now: what is landed is kept, the next run goes on from there. */
export class BudgetError extends InsightsError {
  constructor(message: string, detail?: ErrorDetail) {
    super('budget', message, detail);
  }
}
