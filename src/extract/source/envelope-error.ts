export type EnvelopeFault = 'truncated' | 'malformed' | 'unexpected';

/**
 * The body is not an answer that we understand. A retry may help after `truncated` and `malformed`, never after
 * `unexpected`. Messages name keys and places, never data.
 */
export class EnvelopeError extends Error {
  readonly fault: EnvelopeFault;
  /** What to do about it, where that is known. */
  readonly hint: string | undefined;
  constructor(fault: EnvelopeFault, message: string, hint?: string) {
    super(message);
    this.hint = hint;
    this.name = 'EnvelopeError';
    this.fault = fault;
  }
}
