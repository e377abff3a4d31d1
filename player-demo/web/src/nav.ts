// The bar above every page: where one is, and who one is.
import { account } from './account';
import { el } from './dom';
import { hue } from './format';
import type { App } from './route';
import { me } from './session';
import { signIn } from './sign-in';

/** Marks the app of this page, and shows whose session it is. */
export function mark(here: App): void {
  document.querySelector(`nav.apps [data-app="${here}"]`)?.setAttribute('aria-current', 'page');
  const place = document.querySelector<HTMLElement>('#me');
  if (!place) return;
  me().then(
    (found) => place.replaceChildren(...(found ? signedIn(found.handle) : [door()])),
    // Without accounts there is nothing to sign in to.
    () => place.replaceChildren(),
  );
}

function door(): HTMLElement {
  const button = el('button', { type: 'button', class: 'quiet', 'data-testid': 'door' }, 'Sign in');
  button.addEventListener('click', signIn);
  return button;
}

function signedIn(handle: string): HTMLElement[] {
  const own = el('button', { type: 'button', class: 'quiet', 'data-testid': 'account' }, 'Account');
  own.addEventListener('click', () => account(handle));
  return [el('a', { class: 'who', href: `/feed/users/${handle}`, title: 'Your profile', 'data-testid': 'who' }, face(handle), el('span', {}, handle)), own];
}

/** A round picture of a handle, until there are others. */
export function face(handle: string): HTMLElement {
  return el('span', { class: 'face', style: `--hue: ${hue(handle)}`, 'aria-hidden': 'true' }, (handle[0] ?? '?').toUpperCase());
}
