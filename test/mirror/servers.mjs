/**
 * `.ci/mirror`: the tests of the mirror against servers that nobody here wrote. Starts those that the folder of tools has, each with an
 * empty bucket, and ends them again. `node test/mirror/servers.mjs TOOLS [arguments of vitest]`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';

const [tools = '', ...rest] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), 'insights-etl-servers-'));
const BUCKET = 'lake';
// The account that the emulator documents.
const AZURITE = {
  key: 'devstoreaccount1',
  secret: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
};

/** `command`: program and arguments for a port and a folder. */
const KNOWN = [
  {
    name: 'moto',
    kind: 's3',
    program: join(tools, 'moto/bin/moto_server'),
    command: (port) => ['-H', '127.0.0.1', '-p', String(port)],
    account: { key: 'user', secret: 'secretsecret' },
    checks: { checksKeys: false, checksRequests: false },
  },
  {
    name: 'versitygw',
    kind: 's3',
    program: join(tools, 'bin/versitygw'),
    command: (port, folder) => {
      mkdirSync(join(folder, 'side'), { recursive: true });
      mkdirSync(join(folder, 'data'));
      return ['--quiet', '--port', `127.0.0.1:${port}`, '--region', 'us-east-1', 'posix', '--sidecar', join(folder, 'side'), join(folder, 'data')]; // oxfmt-ignore
    },
    env: { ROOT_ACCESS_KEY: 'user', ROOT_SECRET_KEY: 'secretsecret' },
    account: { key: 'user', secret: 'secretsecret' },
    checks: { checksKeys: true, checksRequests: true },
  },
  {
    name: 'azurite',
    kind: 'az',
    program: join(tools, 'azurite/node_modules/.bin/azurite-blob'),
    command: (port, folder) => ['--silent', '--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', folder, '--skipApiVersionCheck', '--disableTelemetry'], // oxfmt-ignore
    account: AZURITE,
    checks: { checksKeys: true, checksRequests: false },
  },
];

const running = [];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function start({ name, kind, program, command, env = {}, account, checks }) {
  const port = await freePort();
  const folder = join(scratch, name);
  mkdirSync(folder);
  const child = spawn(program, command(port, folder), { stdio: 'ignore', env: { ...process.env, ...env } });
  running.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 1; ; attempt++) {
    try {
      await makeBucket(kind, url, account);
      break;
    } catch (error) {
      if (attempt === 60 || child.exitCode !== null) throw error;
      await delay(500);
    }
  }
  process.stdout.write(`mirror: ${name} is up\n`);
  return { name, kind, bucket: BUCKET, url, ...account, ...checks };
}

async function makeBucket(kind, url, { key, secret }) {
  if (kind === 'az') {
    const service = new BlobServiceClient(`${url}/${key}`, new StorageSharedKeyCredential(key, secret), { retryOptions: { maxTries: 1 } }); // oxfmt-ignore
    return service.getContainerClient(BUCKET).createIfNotExists();
  }
  const credentials = { accessKeyId: key, secretAccessKey: secret };
  const client = new S3Client({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials,
  });
  return client.send(new CreateBucketCommand({ Bucket: BUCKET }));
}

let code = 1;
try {
  const servers = [];
  for (const known of KNOWN)
    if (existsSync(known.program)) servers.push(await start(known));
    else process.stdout.write(`mirror: ${known.name} cannot be had here\n`);
  const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', 'test/campaigns/mirror.test.ts', ...rest], {
    stdio: 'inherit',
    env: { ...process.env, MIRROR_SERVERS: JSON.stringify(servers), AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' }, // oxfmt-ignore
  });
  [code] = await once(child, 'exit');
  if (servers.length === 0) code = 1;
} finally {
  for (const child of running) {
    if (child.exitCode === null && child.kill()) await once(child, 'exit');
  }
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = code ?? 1;
