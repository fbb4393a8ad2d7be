/**
 * Bodies of answers through the real scanner and client, split into chunks in many ways. The rows are those that JSON.parse finds,
 * or the answer is refused with a typed error. It never crashes and never returns fewer rows without an error.
 */
import { describe, expect, it } from 'vitest';
import { InsightsError } from '../../../src/kernel/errors.ts';
import { createClient } from '../../../src/extract/source/client.ts';
import { EnvelopeError } from '../../../src/extract/source/envelope-error.ts';
import { scanEnvelope } from '../../../src/extract/source/envelope.ts';
import { hastyClock } from '../../extract/support/clock.ts';
import { CLIENT_SETTINGS, unlimited } from '../../extract/support/limits.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import { candidates, makeBody } from './support/bodies.ts';
import { chanceOf, ROWS, SEED } from './support/chance.ts';

interface Reading {
  readonly lines: readonly string[];
  readonly rows: number;
  readonly columns: readonly string[] | undefined;
  readonly failure: string | undefined;
}

/** Reads a body with the scanner in chunks of these sizes; returns the fault if it is refused. */
function read(body: string, sizes: readonly number[]): Reading | string {
  const bytes = Buffer.from(body);
  const parts: Buffer[] = [];
  const scanner = scanEnvelope((part) => parts.push(Buffer.from(part)));
  try {
    for (let at = 0, k = 0; at < bytes.length; k++) {
      const size = sizes[k % sizes.length] ?? 1;
      scanner.push(Buffer.from(bytes.subarray(at, at + size)));
      at += size;
    }
    const { rows, columns, failure } = scanner.end();
    const text = Buffer.concat(parts).toString();
    return { rows, columns, failure, lines: text === '' ? [] : text.slice(0, -1).split('\n') };
  } catch (error) {
    if (error instanceof EnvelopeError) return error.fault;
    throw error;
  }
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
};

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

describe(`bodies of seed ${SEED}`, () => {
  const bodies = Math.ceil(ROWS / 4);

  it('are read as JSON.parse reads them, or refused, for any split into chunks', CAMPAIGN, () => {
    const wrong: string[] = [];
    let taken = 0;
    for (let number = 0; number < bodies; number++) {
      const chance = chanceOf(SEED * 7_919 + number);
      const { text: units, made, whole } = makeBody(chance);
      // Half a surrogate pair has no bytes.
      const text = Buffer.from(units).toString();
      const reading = read(text, [1 << 20]);
      const say = (what: string): void => void wrong.push(`body ${number}, ${made}: ${what}: ${text.slice(0, 400)}`);
      const sizes = Array.from({ length: 5 }, () => 1 + chance.below(40));
      for (const cut of [[1], sizes])
        if (!same(read(text, cut), reading)) say(`cut into ${cut.join(' ')} it is read differently`);
      const possible = candidates(text);
      if (typeof reading === 'string' || reading.failure !== undefined) {
        if (whole) say(`refused: ${typeof reading === 'string' ? reading : reading.failure}`);
        continue;
      }
      taken++;
      if (reading.lines.length !== reading.rows) say(`${reading.lines.length} lines of ${reading.rows} rows`);
      const values = reading.lines.map(parsed);
      // A row that is not valid JSON is left to the loader, which quarantines only this row.
      if (possible === undefined) {
        if (!values.includes(undefined)) say('not JSON, but read as if it were');
        continue;
      }
      // Rows may come from one place only, and only if no other place has rows.
      const [rows, ...others] = possible.filter((list, k) => possible.findIndex((other) => same(list, other)) === k);
      if (rows === undefined || others.length > 0) say(`${possible.length} places for rows, one was taken`);
      else if (!same(values, rows)) say(`${values.length} rows read, JSON.parse finds ${rows.length}`);
    }
    expect(wrong.slice(0, 5), `${wrong.length} of ${bodies} bodies`).toEqual([]);
    expect(taken, 'enough bodies are answers').toBeGreaterThan(bodies / 4);
  });

  it('give their rows through the client, or a typed error that does not repeat a row', CAMPAIGN, async () => {
    let body = '';
    let cut = 1;
    const fetch = async (): Promise<Response> => {
      const bytes = Buffer.from(body);
      let at = 0;
      const stream = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at >= bytes.length) return controller.close();
          controller.enqueue(new Uint8Array(bytes.subarray(at, at + cut)));
          at += cut;
        },
      });
      return new Response(stream, { status: 200 });
    };
    const client = createClient({
      tenant: 'demo',
      baseUrl: 'http://127.0.0.1:1',
      credential: async () => ({ header: 'X-API-KEY', value: 'key' }),
      limiter: unlimited(),
      settings: { ...CLIENT_SETTINGS, attempts: 2 },
      runtime: { ...hastyClock(), fetch },
    });
    let answers = 0;
    const failures: string[] = [];
    for (let number = 0; number < 400; number++) {
      const chance = chanceOf(SEED * 7_919 + number);
      body = makeBody(chance).text.replaceAll('LimitsExceeded', '');
      cut = 1 + chance.below(64);
      const columns = ['id', 'ts', 'v'];
      try {
        const answer = await client.ask('Events | take 1', columns);
        if (answer.kind !== 'rows') continue;
        answers++;
        const reading = read(body, [1 << 20]);
        expect(typeof reading === 'string' ? reading : reading.rows, `of ${body}`).toBe(answer.rows.length);
        for (const row of answer.rows) expect(row, `of ${body}`).toHaveLength(columns.length);
      } catch (error) {
        if (!(error instanceof InsightsError)) throw error;
        if (error.failure !== 'source') failures.push(`${error.message} ${body}`);
      }
    }
    expect(failures).toEqual([]);
    expect(answers).toBeGreaterThan(0);
  });
});
