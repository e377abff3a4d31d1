// Conversations: each hears the other across the edges, also what is changed, deleted and thought of it.
import { looked, report } from './people.mjs';

/** Messages that are said before somebody scrolls back: more than a page of history has. */
const MANY = 130;

export async function chat(boss, ben, wire) {
  await ben.go('/chat');
  await ben.at('no-rooms').waitFor();
  await looked(ben, 'chat-empty-narrow');
  await ben.at('new-room').click();
  await looked(ben, 'chat-new-narrow');
  await ben.at('talk-to').fill('boss');
  await ben.at('begin').click();
  await ben.at('room-title').waitFor();
  await say(ben, 'Is it sturdy?');
  await boss.go('/chat');
  await boss.text('unread', '1');
  report.unread = (await boss.at('unread').first().innerText()).split(/\s/)[0];
  await boss.at('room').first().click();
  await boss.text('words', 'Is it sturdy?');
  await ben.page.locator('[data-testid="line"][data-tick="read"]').waitFor();
  await say(boss, 'It stood through a storm.');
  await ben.text('words', 'It stood through a storm.');
  await changed(boss, ben);
  await cut(boss, ben, wire);
  await looked(boss, 'chat');
  await looked(ben, 'chat-narrow');
  await back(boss, ben);
  await group(boss, ben);
}

async function say({ at, text }, words) {
  await at('message').fill(words);
  await at('send').click();
  await text('words', words);
}

const lineOf = ({ at }, words) => at('line').filter({ hasText: words });

/** An edit, a reaction and a deletion are seen by the other, as they happen. */
async function changed(boss, ben) {
  await lineOf(ben, 'sturdy').hover();
  await lineOf(ben, 'sturdy').getByTestId('more').click();
  await lineOf(ben, 'sturdy').getByTestId('edit-message').click();
  await ben.at('message').fill('Is it sturdy enough?');
  await ben.at('send').click();
  await boss.text('words', 'sturdy enough?');
  await lineOf(boss, 'enough?').hover();
  await lineOf(boss, 'enough?').getByTestId('more').click();
  await looked(boss, 'chat-menu');
  await lineOf(boss, 'enough?').getByTestId('react-thumbs-up').click();
  await lineOf(ben, 'enough?').getByTestId('reaction').waitFor();
  report.reaction = await ben.at('reaction').innerText();
  await say(ben, 'Never mind.');
  await boss.text('words', 'Never mind.');
  const never = lineOf(ben, 'Never mind.');
  await never.hover();
  await never.getByTestId('more').click();
  await never.getByTestId('delete-message').click();
  await never.getByTestId('delete-message').click();
  await boss.page.waitForFunction(() => document.querySelector('.said .gone') !== null);
  report.deleted = (await boss.at('said').innerText()).includes('Never mind.');
}

/** The line is cut in the middle of it: what either says meanwhile comes once and in order when it is whole again. */
async function cut(boss, ben, wire) {
  const meanwhile = ['Are you there?', 'I am on the train.', 'A tunnel.'];
  const waits = 'It was a long one.';
  wire.cut();
  for (const words of meanwhile) await say(boss, words);
  await ben.at('message').fill(waits);
  await ben.at('send').click();
  await ben.page.locator('[data-testid="line"][data-tick="waits"]').waitFor();
  report.heard_in_the_cut = (await ben.at('words').allInnerTexts()).filter((words) => meanwhile.includes(words));
  wire.mend();
  await ben.text('words', waits);
  await boss.text('words', waits);
  const said = async ({ at }) => (await at('words').allInnerTexts()).filter((words) => words === waits || meanwhile.includes(words));
  report.said_over_a_cut = [await said(boss), await said(ben)];
  report.waits_after_the_cut = await ben.page.locator('.said .waits').count();
}

/** What was said long ago is there for whoever scrolls, and for whoever looks for it. */
async function back(boss, ben) {
  await boss.page.getByRole('link', { name: 'Feed', exact: true }).click();
  const id = new URL(ben.page.url()).pathname.split('/')[2];
  await ben.page.evaluate(async ([id, many]) => {
    for (let n = 1; n <= many; n += 1) {
      const body = JSON.stringify({ client_id: crypto.randomUUID(), text: `Number ${n} of many` });
      const sent = await fetch(`/v1/chat/${id}/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      if (!sent.ok) throw new Error(`message ${n}: ${sent.status}`);
    }
  }, [id, MANY]);
  await ben.text('words', `Number ${MANY} of many`);
  report.waits = await ben.page.locator('.said .waits').count();
  await boss.go('/chat');
  await boss.text('unread', String(MANY));
  await boss.at('room').first().click();
  await boss.text('words', `Number ${MANY} of many`);
  report.shown_at_first = await boss.at('line').count();
  await boss.page.waitForFunction((wanted) => {
    const log = document.querySelector('[data-testid="said"]');
    if ([...log.querySelectorAll('[data-testid="words"]')].some((node) => node.textContent === wanted)) return true;
    log.scrollTop = 0;
    return false;
  }, 'Is it sturdy enough?', { polling: 200 });
  report.shown_at_last = await boss.at('line').count();
  await boss.at('search').fill('storm');
  await boss.at('search').press('Enter');
  await boss.at('hit').first().waitFor();
  await looked(boss, 'chat-search');
  await boss.at('hit').first().click();
  await boss.page.locator('.line.found').waitFor();
  report.found = await boss.page.locator('.line.found [data-testid="words"]').innerText();
  await narrower(boss);
}

/** A word that both have said in what is open, by one of them: the newest first. */
async function narrower({ at, page }) {
  await at('search-more').click();
  await at('search-from').fill('@ben');
  await at('search-in').check();
  await at('search').fill('it');
  await at('search').press('Enter');
  await at('hit').nth(1).waitFor();
  report.said_by = await page.locator('[data-testid="hit"] .last').allInnerTexts();
}

/** A group, whose second message comes to a list that shows another conversation. */
async function group(boss, ben) {
  await ben.go('/chat');
  await boss.at('search-end').click();
  await boss.at('new-room').click();
  await boss.at('kind-group').check();
  await boss.at('room-name').fill('Tripods');
  await boss.at('room-members').fill('ben');
  await boss.at('begin').click();
  await boss.text('room-title', 'Tripods');
  await say(boss, 'Welcome.');
  // Nobody asks for the list again.
  await ben.text('room', 'Tripods');
  await say(boss, 'There are large ones too.');
  await ben.text('unread', '2');
  await looked(ben, 'chat-list-narrow');
  await boss.at('about').click();
  await boss.text('people', 'ben');
  await looked(boss, 'chat-group');
}
