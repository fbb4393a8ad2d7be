/** A real browser, if this machine has one, and a page of the dashboard in it. */
import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { serveDashboard } from '../../../src/operate/dashboard/serve.ts';
import type { DashboardServer } from '../../../src/operate/dashboard/serve.ts';
import type { Site } from '../../../src/operate/dashboard/site.ts';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Undefined when there is none: then the tests of the page are left out. CHROMIUM names one in another place. */
export function findBrowser(): string | undefined {
  return [process.env['CHROMIUM'] ?? '', ...PLACES].find((path) => {
    if (path === '') return false;
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

interface Screen extends AsyncDisposable {
  readonly page: Page;
}

export interface Desk extends AsyncDisposable {
  readonly server: DashboardServer;
  /** Addresses that pages asked for, of all screens. */
  readonly requests: readonly string[];
  /** Errors of scripts and of the content security policy. */
  readonly complaints: string[];
  /** Opens a page and waits until all charts in it are drawn. `path` is what follows the address. */
  open(path: string, options?: BrowserContextOptions, prepare?: (page: Page) => Promise<void>): Promise<Screen>;
}

/** The dashboard of a site, and a browser to look at it. */
export async function openDesk(site: Site, executablePath: string): Promise<Desk> {
  const server = await serveDashboard(site, { port: 0, setting: { flag: '--port' } });
  // Containers run as root, where the browser's own sandbox does not work. It sees this page only.
  const browser: Browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const requests: string[] = [];
  const complaints: string[] = [];
  return {
    server,
    requests,
    complaints,
    async open(path, options = {}, prepare) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', ...options });
      const page = await context.newPage();
      context.on('request', (request) => void requests.push(request.url()));
      page.on('pageerror', (error) => void complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          complaints.push(message.text());
      });
      await prepare?.(page);
      await page.goto(server.url + path);
      await drawn(page);
      return { page, [Symbol.asyncDispose]: () => context.close() };
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Waits until nothing on the page is still to come. */
export async function drawn(page: Page): Promise<void> {
  await page.waitForSelector('main[aria-busy="false"] :is(.card, .failure, .empty)');
  await page.waitForSelector('.skeleton', { state: 'detached' });
}
