// One account on every page: its password is changed, and another device puts all of them out.
import { enter, looked, PASSWORD, report } from './people.mjs';

const NEW = 'battery staple';

/** `carl` is signed in; `other` is a window of a device that nobody is signed in at. Nobody is, afterwards. */
export async function account(carl, other) {
  report.whose = [];
  for (const path of ['/shop', '/chat', '/feed', '/api', '/']) {
    await carl.go(path);
    await carl.at('who').waitFor();
    report.whose.push(await carl.at('who').getAttribute('href'));
  }
  await carl.at('account').click();
  await carl.at('current-password').waitFor();
  await looked(carl, 'account-narrow');
  report.wrong_password = await changed(carl, 'a wrong guess', '.why');
  report.changed_password = await changed(carl, PASSWORD, '.told');
  await enter(other, 'carl', NEW, 'sign-in');
  await other.at('account').click();
  await looked(other, 'account');
  await other.at('sign-out-everywhere').click();
  await other.at('door').waitFor();
  // Edges hear of it in their own time.
  await carl.page.waitForFunction(async () => (await fetch('/v1/accounts/me', { cache: 'no-cache' })).status === 401, null, { polling: 200 });
  await carl.go('/chat');
  await carl.at('invite').waitFor();
  report.put_out = await carl.at('door').isVisible();
}

/** Asks for the new password, and gives what is said to that in one of the two places. */
async function changed({ at, page }, current, place) {
  await at('current-password').fill(current);
  await at('new-password').fill(NEW);
  await at('change-password').click();
  const said = page.locator(`dialog ${place}:not(:empty)`);
  await said.waitFor();
  return said.innerText();
}
