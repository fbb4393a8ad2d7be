/** Markdown as the formatter of this repository leaves it, for tests that compare a generated part of a document with what is in it. */
import { format } from 'oxfmt';

/** Formats a document. Throws if the formatter reports an error. `printWidth`: characters in a line of code in it. */
export async function formatMarkdown(text: string, printWidth = 120): Promise<string> {
  const { code, errors } = await format('document.md', text, { printWidth, singleQuote: true });
  if (errors.length > 0)
    throw new Error(`The document cannot be formatted: ${errors.map(({ message }) => message).join('; ')}`);
  return code;
}
