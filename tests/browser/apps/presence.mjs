// Who is here and who types, and how far a message has come, as each sees it of the other.
import { report } from './people.mjs';

/** `boss` and `ben` have a conversation of their own; `ben` has another page of the chat open. */
export async function presence(boss, ben) {
  await boss.at('room').filter({ has: boss.page.locator('.room-title', { hasText: /^ben$/ }) }).click();
  await boss.text('room-title', 'ben');
  await ben.go('/chat');
  await ben.at('room').first().waitFor();
  await boss.text('under', 'online');
  await boss.at('message').fill('Knock, knock.');
  await boss.at('send').click();
  const knock = (tick) => boss.page.locator(`[data-testid="line"][data-tick="${tick}"]`).filter({ hasText: 'Knock, knock.' }).waitFor();
  await knock('delivered');
  await ben.at('room').filter({ hasText: 'Knock, knock.' }).click();
  await knock('read');
  report.tick = await boss.at('line').filter({ hasText: 'Knock, knock.' }).getByTestId('tick').getAttribute('title');
  await ben.at('message').pressSequentially('Who');
  await boss.text('under', 'ben is typing…');
  await ben.at('message').fill('');
  await boss.text('under', 'online');
  // Who has said it types no more, whatever was told before.
  await ben.at('message').pressSequentially('Who is there?');
  await boss.text('under', 'ben is typing…');
  await ben.at('send').click();
  await boss.text('words', 'Who is there?');
  await boss.page.waitForFunction(() => document.querySelector('[data-testid="under"]').textContent === 'online');
}
