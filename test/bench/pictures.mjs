/**
 * Pictures of the dashboard: `npm run pictures -- --data-dir data/demo` writes those of the README, in docs/images/. With
 * `--out FOLDER` it writes both pages in light and dark, for a desk and a phone, to be looked at after a change.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: { 'data-dir': { type: 'string', default: join(root, 'data', 'demo') }, out: { type: 'string' } },
});
const folder = values.out ?? join(root, 'docs', 'images');
const cli = [join(root, 'dist', 'cli.js'), 'dashboard', '--no-open', '--data-dir', values['data-dir']];
const server = spawn(process.execPath, cli, { stdio: ['ignore', 'pipe', 'inherit'] });
const [address] = await once(createInterface({ input: server.stdout }), 'line');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  await mkdir(folder, { recursive: true });
  for (const page of ['adoption', 'proof'])
    for (const colorScheme of values.out === undefined ? ['light'] : ['light', 'dark'])
      for (const width of values.out === undefined ? [1280] : [1280, 390]) {
        const viewport = { width, height: 860 };
        const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB' });
        const tab = await context.newPage();
        await tab.goto(`${address}?page=${page}`);
        await tab.waitForSelector('svg.chart');
        await tab.waitForSelector('.skeleton', { state: 'detached' });
        const name = values.out === undefined ? `${page}.png` : `${page}-${colorScheme}-${width}.png`;
        await tab.screenshot({ path: join(folder, name), fullPage: values.out !== undefined });
        console.log(join(folder, name));
        await context.close();
      }
} finally {
  await browser.close();
  server.kill();
}
