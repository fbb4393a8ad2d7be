/** SYN and SEM: rejected by the engine's own parser. Others: invalid values, and features that the sandbox does not have. */
export type KqlErrorCode = 'SYN' | 'SEM' | 'literal' | 'parameter' | 'unsupported';

/** A query that is rejected. `construct`: the part of the query that caused it, never content of a row. */
export class KqlError extends Error {
  override readonly name = 'KqlError';
  readonly code: KqlErrorCode;
  readonly construct: string;

  constructor(code: KqlErrorCode, message: string, construct: string) {
    super(message);
    this.code = code;
    this.construct = construct;
  }
}

/** Rejects a construct that has no translation. A guess would be worse than an error. */
export function unsupported(construct: string, reason = 'is not supported by this engine'): never {
  throw new KqlError('unsupported', `Semantic error: SEM0001: ${construct} ${reason}`, construct);
}
