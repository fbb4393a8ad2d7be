/** A server whose identity cannot be verified receives no credential. */
import { once } from 'node:events';
import { createServer, request } from 'node:https';
import { expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { SELF_SIGNED } from './support/certificate.ts';
import { openWorld } from './support/world.ts';

it('an untrusted certificate ends the call: its code is reported, no credential is sent, and nothing is retried', async () => {
  const received: string[] = [];
  let connections = 0;
  const server = createServer(SELF_SIGNED, (request, response) => {
    received.push(JSON.stringify(request.headers));
    response.end('{"rows":[]}');
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await using world = await openWorld({ rows: 10, days: 1, now: '2026-11-01T00:30:00Z', frozen: true });
    const report = await world.run({ tables: ['Events'] }, { baseUrl: `https://127.0.0.1:${port}` });
    expect(report.exitCode).toBe(EXIT.source);
    expect(report.tables[0]?.error).toMatchObject({
      failure: 'source',
      message: 'The certificate of the source cannot be verified: DEPTH_ZERO_SELF_SIGNED_CERT.',
      hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    });
    expect({ received, connections }).toEqual({ received: [], connections: 1 });
    // A client that trusts the certificate reaches the same server: only the certificate kept the run from it.
    const trusting = request({ port, host: '127.0.0.1', ca: SELF_SIGNED.cert }).end();
    await once(trusting, 'response');
    expect(received).toHaveLength(1);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
