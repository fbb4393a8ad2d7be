/** docs/screens.md is what the program prints. `npm run screens` writes it again. */
import { expect, it } from 'vitest';
import { CAMPAIGN } from '../support/campaign.ts';
import { screensPage } from '../support/screens.ts';

it('docs/screens.md shows what the program prints', CAMPAIGN, async () => {
  await expect(await screensPage()).toMatchFileSnapshot('../../docs/screens.md');
});
