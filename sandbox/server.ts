/**
 * The query endpoint: `POST /api/{tenantId}/insights/query`. Checks are in the order of a real gateway: path and method,
 * credential, rate, body, then the query itself. Fault rules apply only to well-formed calls.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Instant } from './instant.ts';
import { TABLES, type TableName } from './tables.ts';
import { answerQuery, type Limits } from './answer.ts';
import { checkAccess, credentialOf } from './auth.ts';
import type { CallRecord } from './calls.ts';
import { isNeverSent, send } from './delivery.ts';
import type { Fault } from './fault-effects.ts';
import type { Faults } from './faults.ts';
import type { CompileContext, CompiledQuery } from './kql/compile.ts';
import { KqlError } from './kql/error.ts';
import { problem, type Answer } from './problem.ts';
import type { RateLimit } from './rate.ts';
import type { Store } from './store.ts';
import type { WireOptions } from './wire.ts';

/** What an action may change while the sandbox runs: the caps of an answer and its form on the wire. */
export interface Manner {
  limits: Limits;
  wire: WireOptions;
}

export interface Service {
  readonly store: Store;
  readonly compile: (query: string, context: CompileContext) => CompiledQuery;
  readonly now: () => Instant;
  readonly relations: (tenant: string, now: Instant) => Record<TableName, string>;
  readonly rate: RateLimit;
  /** How a 429 of the rate limit gives the time to wait. */
  readonly retryAfter: 'seconds' | 'date' | 'none';
  readonly faults: Faults;
  /** How it answers from now on. */
  readonly manner: Manner;
  /** Called once per call, before its last byte is sent, so that the next call sees its effects. */
  readonly onCall: (call: CallRecord) => Promise<void>;
}

const PATH = /^\/api\/([^/]+)\/insights\/query\/?$/;
const MAX_REQUEST_BYTES = 1024 * 1024;

const requestBody = z.strictObject({
  query: z.string().trim().min(1, 'The query must not be empty.'),
  parameters: z.record(z.string(), z.string()).optional(),
  options: z.record(z.string(), z.unknown()).optional(),
});

export function createQueryServer(service: Service): Server {
  return createServer((request, response) => {
    void handle(service, request, response);
  });
}

async function handle(service: Service, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const match = PATH.exec(request.url?.split('?')[0] ?? '');
  const tenant = match ? decode(match[1]) : undefined;
  if (tenant === undefined) return plain(response, problem(404, 'There is no resource at this path.'));
  if (request.method !== 'POST') {
    return plain(response, problem(405, 'Only POST is allowed here.', { headers: { allow: 'POST' } }));
  }
  const received = new Date().toISOString();
  const call: CallRecord = { time: received, received, finished: '', tenant, status: 0, rows: 0, bytes: 0, query: '' };
  let recorded = false;
  const record = async (): Promise<void> => {
    if (recorded) return;
    recorded = true;
    call.finished = new Date().toISOString();
    await service.onCall(call);
  };
  const gone = new AbortController();
  response.on('close', () => {
    gone.abort();
    void record();
  });
  try {
    const { answer, fault } = await respond(service, request, tenant, call, gone.signal);
    if (fault) call.fault = fault.name;
    await send({ request, response, answer, call, record, gzip: service.manner.wire.gzip, delivery: fault?.delivery });
  } catch (error) {
    // Nothing can be sent: the client has disconnected, or it already has half of an answer.
    if (gone.signal.aborted) return;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const answer = engineFailure(error);
    await send({ request, response, answer, call, record, gzip: false, delivery: undefined });
  }
}

interface Outcome {
  readonly answer: Answer;
  readonly fault?: Fault | undefined;
}

async function respond(
  service: Service,
  request: IncomingMessage,
  tenant: string,
  call: CallRecord,
  signal: AbortSignal,
): Promise<Outcome> {
  const refused = refuseAccess(service, request, tenant) ?? refuseRate(service, tenant);
  // The body of a rejected call is read too, so that the record has its query and the connection can be reused.
  const text = await readBody(request);
  const body = parseBody(text);
  if ('value' in body) call.query = body.value.query;
  if (refused) return { answer: refused };
  if ('answer' in body) return { answer: body.answer };
  const { query, parameters = {} } = body.value;

  const fault = service.faults.next({ tenant, query, now: new Date(), credential: credentialOf(request.headers) });
  if (fault?.answer) return { answer: fault.answer, fault };
  if (isNeverSent(fault?.delivery)) return { answer: problem(500, 'never sent'), fault };
  const now = service.now();
  const tables = service.relations(tenant, now);
  const wrap = (name: TableName): string => fault?.relation?.(tables[name], `"${TABLES[name].id}"`) ?? tables[name];
  const relations = { Logs: wrap('Logs'), Events: wrap('Events'), Metrics: wrap('Metrics') };
  let compiled: CompiledQuery;
  try {
    compiled = service.compile(query, { nowTicks: now, parameters, relations });
  } catch (error) {
    if (error instanceof KqlError) return { answer: badQuery(error), fault };
    throw error;
  }
  const limits = { ...service.manner.limits, ...fault?.limits };
  const wire = { ...service.manner.wire, ...fault?.wire };
  const ordered = fault?.reorder ? reversed(compiled) : compiled;
  const question = { ...ordered, limits, wire, editRow: fault?.editRow, failure: fault?.failure };
  const answer = await answerQuery(service.store, question, signal);
  const edited = fault?.editBody && answer.status === 200 ? { ...answer, body: fault.editBody(answer.body) } : answer;
  return { answer: edited, fault };
}

/** The last column first. */
function reversed({ sql, columns }: CompiledQuery): Pick<CompiledQuery, 'sql' | 'columns'> {
  const names = columns.map((_, k) => `c${k}`);
  return {
    sql: `select ${names.toReversed().join(', ')} from (${sql}) q(${names.join(', ')})`,
    columns: columns.toReversed(),
  };
}

function refuseAccess({ store }: Service, request: IncomingMessage, tenant: string): Answer | undefined {
  const access = checkAccess(request.headers, tenant, store.tenants());
  switch (access.kind) {
    case 'granted':
      return undefined;
    case 'unauthenticated':
      return problem(401, `Not authenticated: ${access.why}.`, { headers: { 'www-authenticate': 'ApiKey, Bearer' } });
    case 'forbidden':
      return problem(403, `Forbidden: ${access.why}.`);
    case 'unknown-tenant':
    default:
      return problem(404, 'There is no such tenant.');
  }
}

function refuseRate({ rate, retryAfter }: Service, tenant: string): Answer | undefined {
  const waitMs = rate.admit(tenant);
  if (waitMs === undefined) return undefined;
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  const value = retryAfter === 'date' ? new Date(Date.now() + seconds * 1000).toUTCString() : String(seconds);
  return problem(429, 'The limit of calls per minute has been reached.', {
    headers: retryAfter === 'none' ? {} : { 'retry-after': value },
  });
}

/** The text of the body; undefined when it exceeds the size limit, and then the rest is read and dropped. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_REQUEST_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes > MAX_REQUEST_BYTES ? undefined : Buffer.concat(chunks).toString('utf8');
}

function parseBody(text: string | undefined): { value: z.output<typeof requestBody> } | { answer: Answer } {
  if (text === undefined) return { answer: problem(413, `The request is larger than ${MAX_REQUEST_BYTES} bytes.`) };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { answer: problem(400, 'The body is not JSON.', { errors: { $: ['The body is not valid JSON.'] } }) };
  }
  const parsed = requestBody.safeParse(json);
  if (parsed.success) return { value: parsed.data };
  const errors: Record<string, string[]> = {};
  for (const issue of parsed.error.issues) {
    const fields = issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.map(String).join('.') || '$'];
    const message = issue.code === 'unrecognized_keys' ? 'The field is not allowed.' : issue.message;
    for (const field of fields) (errors[field] ??= []).push(message);
  }
  return { answer: problem(400, 'The request body is not valid.', { errors }) };
}

function badQuery({ code, message }: KqlError): Answer {
  const kind = code === 'SYN' ? 'BadRequest_SyntaxError' : 'BadRequest_SemanticError';
  return problem(400, `${kind}: Request is invalid and cannot be processed: ${message}`);
}

/** DuckDB could not run the compiled query. Its message may quote a value of a row, so only its class is sent. */
function engineFailure(error: unknown): Answer {
  const message = error instanceof Error ? error.message : '';
  if (message.startsWith('Out of Memory')) {
    return problem(400, 'Query execution lacks memory resources to complete (80DA0007; E_LOW_MEMORY_CONDITION).');
  }
  const kind = /^[A-Z][A-Za-z ]+ Error/.exec(message)?.[0] ?? 'Error';
  return problem(500, `The engine could not run the query (${kind}).`);
}

function plain(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { 'content-type': answer.contentType, ...answer.headers });
  response.end(answer.body);
}

function decode(segment: string | undefined): string | undefined {
  try {
    return decodeURIComponent(segment ?? '');
  } catch {
    return undefined;
  }
}
