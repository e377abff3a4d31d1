// The shop, conversations, the feed and the interface's page, by two people on two edges, each in a window of their own,
// and one who looks on.
// usage: node apps.mjs EDGE_A EDGE_B PICTURES. The last line of output is JSON for the story to assert.
import { launched } from './chromium.mjs';
import { account } from './apps/account.mjs';
import { api } from './apps/api.mjs';
import { chat } from './apps/chat.mjs';
import { feed } from './apps/feed.mjs';
import { files } from './apps/files.mjs';
import { line } from './apps/line.mjs';
import { door, photos } from './apps/photos.mjs';
import { person, report, signUp } from './apps/people.mjs';
import { presence } from './apps/presence.mjs';
import { room } from './apps/room.mjs';
import { shop } from './apps/shop.mjs';
import { mkdirSync } from 'node:fs';

const [edgeA, edgeB, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await launched();
const boss = await person(browser, edgeA, { width: 1280, height: 860 }, pictures);
const wire = await line(edgeB);
const ben = await person(browser, wire.url, { width: 390, height: 844 }, pictures);
const carl = await person(browser, edgeA, { width: 390, height: 844 }, pictures);
try {
  await door(ben);
  await signUp(boss, 'boss');
  await signUp(ben, 'ben');
  await signUp(carl, 'carl');
  await shop(boss, ben);
  await room(boss, ben);
  await chat(boss, ben, wire);
  await files(boss, ben, carl);
  await presence(boss, ben);
  await feed(boss, ben);
  await photos(boss, ben);
  await api(boss, ben);
  await account(carl, await person(browser, edgeB, { width: 1280, height: 860 }, pictures));
} catch (error) {
  report.failure = String(error.stack ?? error);
  for (const [n, { page }] of [boss, ben].entries()) await page.screenshot({ path: `${pictures}/apps-failed-${n}.png` });
}
await browser.close();
wire.end();
console.log(JSON.stringify(report));
