/**
 * Pictures of the dashboard: `npm run pictures` loads a lake from the sandbox, with every mart, and writes those of the README and of
 * docs/dashboard.md to docs/images/. With `--data-dir` it shows another lake. With `--out FOLDER` it writes both pages in light and dark,
 * for a desk and a phone, to be looked at after a change.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { cli, CLI, scratch, startSandbox, tenantEnv } from './harness.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({ options: { 'data-dir': { type: 'string' }, out: { type: 'string' } } });
const folder = values.out ?? join(root, 'docs', 'images');
const place = await scratch('pictures');
try {
  await takePictures(values['data-dir'] ?? (await load(join(place.folder, 'data'))));
} finally {
  await place.remove();
}

/** The rows of the demo, with the marts that the filters need. */
async function load(dataDir) {
  const now = '2026-11-01T00:00:00Z';
  const sandbox = await startSandbox('--tenants', 'demo', '--rows', 200_000, '--days', 60, '--seed', 7, '--now', now, '--frozen', '--rate', 0); // oxfmt-ignore
  try {
    await sandbox.admin('/clock', { advance: '1h' });
    const env = tenantEnv(sandbox.url, dataDir, 'demo', { INSIGHTS_LAKE_SPLIT_MARTS: 'true' });
    const { code, err } = await cli(['run'], { env });
    if (code !== 0) throw new Error(`the run ended with ${code}: ${err}`);
    return dataDir;
  } finally {
    await sandbox.stop();
  }
}

async function takePictures(dataDir) {
  const args = [CLI, 'dashboard', '--no-open', '--data-dir', dataDir];
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [address] = await once(createInterface({ input: server.stdout }), 'line');
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const open = async (search, options) => {
    const context = await browser.newContext({ locale: 'en-GB', ...options });
    const page = await context.newPage();
    await page.goto(address + search);
    await page.waitForSelector('svg.chart');
    await page.waitForSelector('.skeleton', { state: 'detached' });
    return page;
  };
  const save = async (page, name, options) => {
    await page.screenshot({ path: join(folder, name), ...options });
    console.log(join(folder, name));
    await page.context().close();
  };
  try {
    await mkdir(folder, { recursive: true });
    for (const name of ['adoption', 'proof']) {
      if (values.out === undefined) {
        await save(await open(`?page=${name}`, { viewport: { width: 1280, height: 860 } }), `${name}.png`);
        continue;
      }
      for (const colorScheme of ['light', 'dark'])
        for (const width of [1280, 390]) {
          const page = await open(`?page=${name}`, { viewport: { width, height: 860 }, colorScheme });
          await save(page, `${name}-${colorScheme}-${width}.png`, { fullPage: true });
        }
    }
    const page = await open('?range=all&grain=week&pass_type=loyalty', { viewport: { width: 1280, height: 860 } });
    if (values.out !== undefined) {
      await save(page, 'filtered.png', { fullPage: true });
      return;
    }
    const [first, last] = [page.locator('#q-staying'), page.locator('section:has(#q-using)')];
    const { y } = await first.boundingBox();
    const { y: lastY, height } = await last.boundingBox();
    const clip = { x: 0, y: y - 12, width: 1280, height: lastY + height - y + 24 };
    await save(page, 'staying.png', { fullPage: true, clip });
  } finally {
    await browser.close();
    server.kill();
  }
}
