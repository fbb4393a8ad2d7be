/** Which kind of refusal: the two the engine's own parser makes, one for bad values, one for what this sandbox lacks. */
export type KqlErrorCode = 'SYN' | 'SEM' | 'literal' | 'parameter' | 'unsupported';

/** A query that is refused. `construct` names the offending part of the query text, never a row's content. */
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

/** Refuses a construct that has no translation; a guess would be worse than a refusal. */
export function unsupported(construct: string, reason = 'is not supported by this engine'): never {
  throw new KqlError('unsupported', `Semantic error: SEM0001: ${construct} ${reason}`, construct);
}
