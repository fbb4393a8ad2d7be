/** Starts the worker before the page itself is loaded: its first answer takes longer than the page's scripts. */
import { askEarly } from './data.ts';

askEarly(location.search);
void import('./page.tsx');
