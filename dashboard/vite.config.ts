/** Builds the page into `dist/dashboard`: static files with relative addresses, so that they work in any folder. */
import { defineConfig } from 'vite';
import type { Plugin } from 'vite';

/** The first script starts the worker and then loads the page's own script, which is fetched at the same time. */
const preloadPage: Plugin = {
  name: 'preload-page',
  transformIndexHtml: {
    order: 'post',
    handler: (_, { bundle = {} }) =>
      Object.values(bundle).flatMap((chunk) =>
        chunk.type === 'chunk' && chunk.isDynamicEntry
          ? [{ tag: 'link', attrs: { rel: 'modulepreload', href: `./${chunk.fileName}`, crossorigin: true }, injectTo: 'head' as const }] // oxfmt-ignore
          : [],
      ),
  },
};

export default defineConfig({
  base: './',
  plugins: [preloadPage],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  build: {
    outDir: '../dist/dashboard',
    emptyOutDir: true,
    target: 'es2022',
    // Inline scripts and data addresses would need exceptions in the content security policy.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
