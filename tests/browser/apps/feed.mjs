// The feed: a post comes, its counts are pushed to whoever looks at it, and what is answered stands below it.
import { looked, report } from './people.mjs';

export async function feed(boss, ben) {
  await boss.go('/feed');
  await boss.at('empty').waitFor();
  await unsent(boss);
  await post(boss, 'The shop is open: tripods, while there are some.');
  await ben.go('/feed');
  await looked(ben, 'feed-empty-narrow');
  await ben.at('find-handle').fill('boss');
  await ben.at('find').click();
  await ben.at('profile').waitFor();
  await ben.at('follow').click();
  await ben.text('follow', 'Following');
  await ben.text('profile', '1 follower');
  await looked(ben, 'profile-narrow');
  await ben.page.getByRole('link', { name: 'Feed', exact: true }).click();
  await ben.text('post-words', 'tripods');
  await ben.at('like').click();
  await boss.text('likes', '1');
  report.likes = await boss.at('likes').first().innerText();
  await remembered(ben);
  await answered(boss, ben);
  await news(boss, ben);
  await talked(ben);
}

/** What one likes and whom one follows is known to a browser that has kept nothing: on every list. */
async function remembered(ben) {
  await ben.page.evaluate(() => localStorage.clear());
  await ben.go('/feed');
  const liked = () => ben.page.locator('[data-testid="like"][aria-pressed="true"]').waitFor();
  await liked();
  await ben.at('author').first().click();
  await ben.text('follow', 'Following');
  await liked();
  await ben.page.getByRole('link', { name: 'Feed', exact: true }).click();
  await liked();
}

/** From a profile it is one step to what was said last with whose it is. */
async function talked(ben) {
  await ben.go('/feed/users/boss');
  await ben.at('talk').click();
  await ben.text('room-title', 'boss');
  await ben.text('words', 'Who is there?');
  report.talked = await ben.at('words').last().innerText();
}

/** What was written and not sent is there still for whoever skips to the content. */
async function unsent({ at, page }) {
  await at('post-text').fill('Not sent yet.');
  await page.locator('a.skip').focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash === '#main');
  report.unsent = await at('post-text').inputValue();
  await at('post-text').fill('');
}

async function post({ at, text }, words) {
  await at('post-text').fill(words);
  await at('post').click();
  await text('post-words', words);
}

/** A reply, and the reply to it, each seen by the other as it is made. */
async function answered(boss, ben) {
  await ben.at('reply').first().click();
  await ben.at('reply-text').first().fill('Do they fold?');
  await ben.at('reply-send').first().click();
  await ben.text('post-words', 'Do they fold?');
  await boss.text('replies', '1');
  await boss.at('reply').first().click();
  await boss.text('post-words', 'Do they fold?');
  await boss.at('replies-list').getByTestId('reply').click();
  await boss.at('replies-list').getByTestId('reply-text').fill('To half their length.');
  await boss.at('replies-list').getByTestId('reply-send').click();
  await ben.text('post-words', 'To half their length.');
  report.thread = await ben.at('post-words').allInnerTexts();
  await looked(boss, 'thread');
  await looked(ben, 'thread-narrow');
}

/** A repost is counted; a new post is told of; a deleted one is gone from the other's page. */
async function news(boss, ben) {
  await ben.at('repost').first().click();
  await boss.text('reposts', '1');
  await ben.page.getByRole('link', { name: 'Feed', exact: true }).click();
  await ben.at('find-handle').fill('ben');
  await ben.at('find').click();
  await ben.text('quoted', 'tripods');
  await ben.page.getByRole('link', { name: 'Feed', exact: true }).click();
  await boss.page.getByRole('link', { name: 'Feed', exact: true }).click();
  await boss.text('post-words', 'tripods');
  await post(boss, 'Ten more have come in.');
  await ben.text('fresh', '1 new post');
  report.fresh = await ben.at('fresh').innerText();
  await looked(ben, 'feed-narrow');
  await ben.at('fresh').click();
  await ben.text('post-words', 'Ten more have come in.');
  await ben.at('order-latest').click();
  await ben.page.waitForFunction(() => document.querySelector('[data-testid="post-words"]')?.textContent === 'Ten more have come in.');
  await looked(boss, 'feed');
  const own = boss.at('feed-post').filter({ hasText: 'Ten more' });
  await own.getByTestId('delete-post').click();
  await own.getByTestId('delete-post').click();
  await ben.page.waitForFunction(() => ![...document.querySelectorAll('[data-testid="post-words"]')].some((node) => node.textContent.includes('Ten more')));
}
