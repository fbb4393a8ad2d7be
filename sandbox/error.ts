/** An option, a file or a row that the sandbox cannot use. `hint`: the next step. `where`: names of places, never content. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';
  readonly hint: string;
  readonly where: Readonly<Record<string, string>>;

  constructor(
    message: string,
    detail: { readonly hint: string; readonly where?: Readonly<Record<string, string>>; readonly cause?: unknown },
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.hint = detail.hint;
    this.where = detail.where ?? {};
  }
}
