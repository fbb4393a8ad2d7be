/**
 * Reads rows of a table from NDJSON, one object per line, and keeps every dynamic value exactly as it is written.
 * A JSON parser would print 1e5 as 100000.0, cut 12345678901234567890 to 53 bits and resolve \u escapes; DuckDB's reader
 * does the first and the last. So the members of a line are located by a scan and cut out of it.
 */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import { SandboxError } from './error.ts';
import { parseInstant, type Instant } from './instant.ts';
import type { Table } from './tables.ts';

/** One cell as the sandbox stores it: guid, string and dynamic as text, datetime as ticks, null as null. */
export type Cell = string | Instant | null;

/** The lines of a file, without line ends; `.gz` is decompressed. Split only at \n: JSON may hold an unescaped U+2028. */
export async function* readLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path);
  let bytes: Readable = file;
  if (path.endsWith('.gz')) {
    const unzip = createGunzip();
    file.on('error', (error) => unzip.destroy(error));
    bytes = file.pipe(unzip);
  }
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}

/** The cells of one line in the order of `table.columns`. Errors name `place` ("events.ndjson line 12"). */
export function parseRow(line: string, table: Table, place: string): Cell[] {
  const members = scanMembers(line);
  if (members === undefined) throw badLine(`${place} is not a JSON object`);
  return table.columns.map(({ name, type }): Cell => {
    const raw = members.get(name);
    if (raw === undefined || raw === 'null') return type === 'string' ? '' : null;
    if (type === 'dynamic') return raw;
    if (type === 'string') return text(raw);
    if (type === 'guid') return text(raw).replaceAll(/[{}]/g, '').toLowerCase() || null;
    const instant = parseInstant(text(raw));
    if (instant === undefined) throw badLine(`${place}: "${name}" is not an ISO 8601 instant`);
    return instant;
  });
}

function badLine(message: string): SandboxError {
  return new SandboxError(message, { hint: 'Each line must be one JSON object with the columns of its table.' });
}

/** The value of a string column. JSON that is not a string keeps its JSON text, as in the engine's ingestion. */
function text(raw: string): string {
  return raw.startsWith('"') ? String(JSON.parse(raw)) : raw;
}

/** The top-level members of a JSON object, each value as raw text; undefined when the line is not an object. */
function scanMembers(line: string): Map<string, string> | undefined {
  const members = new Map<string, string>();
  let at = skipBlanks(line, 0);
  if (line[at] !== '{') return undefined;
  at = skipBlanks(line, at + 1);
  while (line[at] === '"') {
    const keyEnd = stringEnd(line, at);
    const colon = skipBlanks(line, keyEnd);
    if (line[colon] !== ':') return undefined;
    const start = skipBlanks(line, colon + 1);
    const end = valueEnd(line, start);
    if (end === start) return undefined;
    members.set(text(line.slice(at, keyEnd)), line.slice(start, end));
    at = skipBlanks(line, end);
    if (line[at] !== ',') break;
    at = skipBlanks(line, at + 1);
  }
  return line[at] === '}' && skipBlanks(line, at + 1) === line.length ? members : undefined;
}

function skipBlanks(line: string, at: number): number {
  let next = at;
  while (next < line.length && line.charCodeAt(next) <= 0x20) next++;
  return next;
}

/** The index after the closing quote of the string that opens at `at`. */
function stringEnd(line: string, at: number): number {
  let quote = line.indexOf('"', at + 1);
  while (quote !== -1) {
    let backslashes = 0;
    while (line[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    quote = line.indexOf('"', quote + 1);
  }
  return line.length;
}

function valueEnd(line: string, start: number): number {
  if (line[start] === '"') return stringEnd(line, start);
  let depth = 0;
  let at = start;
  while (at < line.length) {
    const char = line[at];
    if (char === '"') {
      at = stringEnd(line, at);
      continue;
    }
    if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') {
      if (depth === 0) return trimEnd(line, start, at);
      depth--;
      if (depth === 0) return at + 1;
    } else if (char === ',' && depth === 0) return trimEnd(line, start, at);
    at++;
  }
  return trimEnd(line, start, at);
}

function trimEnd(line: string, start: number, end: number): number {
  let last = end;
  while (last > start && line.charCodeAt(last - 1) <= 0x20) last--;
  return last;
}
