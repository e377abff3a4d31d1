// A photo in the feed: sent while it is described, seen by another, and gone with its post; and the dialog by which one signs in.
import { looked, report } from './people.mjs';

const WORDS = 'How the room looks today.';
const ALT = 'Two windows with the same page.';

export async function photos(boss, ben) {
  await boss.go('/feed');
  // A picture that a browser made a moment ago.
  const buffer = await ben.page.screenshot();
  await boss.at('post-text').fill(WORDS);
  await boss.at('photo-input').setInputFiles({ name: 'room.png', mimeType: 'image/png', buffer });
  await boss.at('chosen').waitFor();
  await boss.at('photo-alt').fill(ALT);
  await boss.page.waitForFunction(() => document.querySelector('[data-testid="chosen"] [role="status"]')?.textContent === '');
  await looked(boss, 'feed-photo-chosen');
  await boss.at('post').click();
  await boss.text('post-words', WORDS);

  await ben.go('/feed');
  await ben.at('order-latest').click();
  await ben.text('post-words', WORDS);
  const image = ben.page.getByRole('img', { name: ALT });
  await image.scrollIntoViewIfNeeded();
  const shown = (alt) => [...document.querySelectorAll('img')].some((one) => one.alt === alt && one.complete && one.naturalWidth > 0);
  await ben.page.waitForFunction(shown, ALT);
  report.photo = await image.evaluate((one) => new URL(one.currentSrc).pathname.startsWith('/v1/feed/photos/'));
  await looked(ben, 'feed-photo-narrow');

  const path = await image.evaluate((one) => new URL(one.currentSrc).pathname);
  const own = boss.at('feed-post').filter({ hasText: WORDS });
  await own.getByTestId('delete-post').click();
  await own.getByTestId('delete-post').click();
  await image.waitFor({ state: 'detached' });
  const status = (path) => fetch(path, { cache: 'reload' }).then((answer) => answer.status);
  await ben.page.waitForFunction(async (path) => [404, 410].includes((await fetch(path, { cache: 'reload' })).status), path, { polling: 200 });
  report.photo_gone = [404, 410].includes(await ben.page.evaluate(status, path));
}

/** What a visitor sees before anything is known of them. */
export async function door(visitor) {
  await visitor.go('/feed');
  await visitor.at('door').click();
  await visitor.at('handle').waitFor();
  const rows = (buttons) => new Set(buttons.map((button) => button.offsetTop)).size;
  report.door_rows = await visitor.page.locator('dialog .actions button').evaluateAll(rows);
  await looked(visitor, 'door-narrow');
}
