/** Numbers as arguments of flags. Each parser throws InvalidArgumentError with what is allowed. */
import { InvalidArgumentError } from 'commander';

/** A parser for whole numbers from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
    throw new InvalidArgumentError(`Allowed: a whole number, ${range}.`);
  };
}

export function positiveSeconds(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new InvalidArgumentError('Allowed: a number of seconds above 0.');
}
