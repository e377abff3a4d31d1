// Who is in the stories of the apps: a window each, and what is looked at in it.
import { looked as seen } from '../axe.mjs';

/** What the stories found, for the assertions. */
export const report = { errors: [], serious: [] };

export async function person(browser, edge, viewport, pictures) {
  const page = await (await browser.newContext({ viewport, reducedMotion: 'reduce' })).newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => report.errors.push(String(error)));
  const at = (id) => page.getByTestId(id);
  /** Waits until one of the elements of a name says what is wanted. */
  const text = (id, wanted) => page.waitForFunction(([id, wanted]) =>
    [...document.querySelectorAll(`[data-testid="${id}"]`)].some((node) => node.textContent.includes(wanted)), [id, wanted]);
  return { page, at, text, pictures, go: (path) => page.goto(`${edge}${path}`, { waitUntil: 'load' }) };
}

/** The password that everybody has at first. */
export const PASSWORD = 'correct horse';

export const signUp = (who, handle) => enter(who, handle, PASSWORD, 'sign-up');

/** Comes in by the door: `way` is the button, `sign-in` or `sign-up`. */
export async function enter({ at, go }, handle, password, way) {
  await go('/feed');
  await at('door').click();
  await at('handle').fill(handle);
  await at('password').fill(password);
  await at(way).click();
  await at('who').waitFor();
}

/** A look at somebody's page, and a picture of it. */
export async function looked({ page, pictures }, name) {
  await seen(page, name, report.serious);
  await page.screenshot({ path: `${pictures}/${name}.png` });
}

/** The same in a window as wide as on a desk, which is then as wide as it was. */
export async function lookedWide(who, name) {
  const was = who.page.viewportSize();
  await who.page.setViewportSize({ width: 1280, height: 860 });
  await looked(who, name);
  await who.page.setViewportSize(was);
}

/** What somebody sends to the shop by HTTP, at their edge and with their session: the answer's document. */
export const sent = ({ page }, method, path, body) => page.evaluate(async ([method, path, body]) => {
  const answer = await fetch(`/v1/shop/${path}`, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}, [method, path, body]);
