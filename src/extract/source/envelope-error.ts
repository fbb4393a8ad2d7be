export type EnvelopeFault = 'truncated' | 'malformed' | 'unexpected';

/**
 * The body is not an answer that we understand. A retry may help after `truncated` and `malformed`, never after
 * `unexpected`. Messages name keys and places, never data.
 */
export class EnvelopeError extends Error {
  readonly fault: EnvelopeFault;
  constructor(fault: EnvelopeFault, message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.fault = fault;
  }
}
