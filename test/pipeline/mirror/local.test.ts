/** Which names of objects are the mirror's, so that it may delete them. */
import { expect, it } from 'vitest';
import { isMirrorName } from '../../../src/pipeline/mirror/local.ts';

it.each([
  'manifest.json',
  'lake/coverage.parquet',
  'state/2-0a1b2c3d/state.duckdb',
  'store/events/tenant_id=demo/month=2026-10/2026-10.1.parquet',
])('%s is', (name) => {
  expect(isMirrorName(name, false)).toBe(true);
});

it.each([
  'dashboard/index.html',
  'dashboard/manifest.json',
  'dashboard/assets/icon-BlsYcIS0.svg',
  'dashboard/proof/2.0.json',
  'dashboard/store/marts/installs/3.parquet',
])('%s is once a push has shown a dashboard', (name) => {
  expect([false, true].map((hasPage) => isMirrorName(name, hasPage))).toEqual([false, true]);
});

it.each([
  'dashboard/CNAME',
  'dashboard/robots.txt',
  'dashboard/.well-known/security.txt',
  'dashboard/assets/index.js.tmp',
  'index.html',
  'store/events/notes.txt',
  'state/notes.txt',
])('%s is never', (name) => {
  expect([false, true].map((hasPage) => isMirrorName(name, hasPage))).toEqual([false, false]);
});
