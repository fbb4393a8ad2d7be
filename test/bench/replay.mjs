/**
 * An Insights API at the speed of copying files: what a real endpoint answered to a query the first time is sent again byte for byte to
 * the same query. So a bench measures who asks, and not the sandbox.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Serves on loopback. Answers are kept in `folder`; those that are not there yet come from `upstream`. `seen` counts since the last `reset`. */
export async function startReplay(upstream, folder) {
  const seen = { calls: 0, forwarded: 0, bytes: 0 };
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.destroy(error));
  });

  async function answer(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    const file = join(folder, createHash('sha256').update(request.url).update(body).digest('hex'));
    seen.calls++;
    handle.onCall?.(request.url, body);
    if (!existsSync(file)) {
      seen.forwarded++;
      const { 'content-type': type, 'x-api-key': key } = request.headers;
      const answered = await fetch(`${upstream}${request.url}`, {
        method: request.method,
        headers: { 'content-type': type, 'x-api-key': key },
        body,
      });
      const content = Buffer.from(await answered.arrayBuffer());
      if (!answered.ok) {
        response.writeHead(answered.status).end(content);
        return;
      }
      await writeFile(`${file}.new`, content);
      await rename(`${file}.new`, file);
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    const stream = createReadStream(file, { highWaterMark: 1 << 20 });
    stream.on('data', (part) => (seen.bytes += part.length));
    await pipeline(stream, response);
  }

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const handle = {
    /** Called with the path and the body of each request. */
    onCall: undefined,
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    reset: () => Object.assign(seen, { calls: 0, forwarded: 0, bytes: 0 }),
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
  return handle;
}
