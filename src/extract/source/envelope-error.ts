export type EnvelopeFault = 'truncated' | 'malformed' | 'unexpected';

/**
 * The body is no answer we understand. `truncated` and `malformed` may be better next time, `unexpected` will not.
 * Messages name keys and places, never data.
 */
export class EnvelopeError extends Error {
  readonly fault: EnvelopeFault;
  constructor(fault: EnvelopeFault, message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.fault = fault;
  }
}
