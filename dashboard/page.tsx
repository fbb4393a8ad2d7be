import { render } from 'preact';
import { App } from './app.tsx';
import { prepareFormats } from './locale.ts';

const root = document.getElementById('page');
if (root) render(<App />, root);
// While the worker reads the first figures.
setTimeout(prepareFormats);

/** Only one of the small menus is open, and Escape closes it. */
const menus = (): NodeListOf<HTMLDetailsElement> => document.querySelectorAll('details.pop[open]');
document.addEventListener('click', ({ target }) => {
  for (const menu of menus()) if (!(target instanceof Node && menu.contains(target))) menu.open = false;
});
document.addEventListener('keydown', ({ key }) => {
  if (key !== 'Escape') return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector('summary')?.focus();
  }
});
