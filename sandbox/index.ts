/** Loaded by the commands `sandbox` and `demo` when they run. A production install works without this folder. */
export type { LimitMode } from './answer.ts';
export { SandboxError } from './error.ts';
export { requireParser } from './kql/language.ts';
export { startSandbox } from './sandbox.ts';
export type { Sandbox, SandboxOptions } from './sandbox.ts';
export type { Shape } from './synthetic-hours.ts';
export type { WireOptions } from './wire.ts';
