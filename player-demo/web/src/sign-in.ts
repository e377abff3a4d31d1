// Signing up and in: a dialog, and the word with which a page asks for it.
import { el, say } from './dom';
import { enter } from './session';
import { anew as loadAnew } from './unsaved';

/** Opens the dialog; the page is loaded anew once somebody is signed in. */
export function signIn(): void {
  const handle = el('input', { id: 'handle', name: 'handle', autocomplete: 'username', required: true, minlength: '2', maxlength: '32', pattern: '[a-z0-9_]+', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'handle' });
  const password = el('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true, minlength: '8', maxlength: '200', 'data-testid': 'password' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const enterButton = el('button', { type: 'submit', value: 'in', 'data-testid': 'sign-in' }, 'Sign in');
  const make = el('button', { type: 'submit', value: 'up', class: 'quiet', 'data-testid': 'sign-up' }, 'Make an account');
  const cancel = el('button', { type: 'button', class: 'quiet' }, 'Cancel');
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', {}, 'Your account'),
    el('p', { class: 'dim' }, 'One for videos, shop, chat and feed.'),
    el('div', { class: 'field' }, el('label', { for: 'handle' }, 'Handle (a-z, 0-9, _)'), handle),
    el('div', { class: 'field' }, el('label', { for: 'password' }, 'Password (8 characters or more)'), password),
    wrong,
    el('div', { class: 'actions' }, enterButton, make, cancel),
  );
  const dialog = el('dialog', { class: 'edit', 'aria-label': 'Your account' }, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const anew = (event.submitter as HTMLButtonElement | null)?.value === 'up';
    enterButton.disabled = make.disabled = true;
    enter({ handle: handle.value, password: password.value }, anew).then(
      loadAnew,
      (error: Error) => {
        enterButton.disabled = make.disabled = false;
        say(wrong, error.message);
      },
    );
  });
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** What stands where an account is needed and there is none. */
export function invitation(words: string): HTMLElement {
  const button = el('button', { type: 'button', 'data-testid': 'invite' }, 'Sign in');
  button.addEventListener('click', signIn);
  return el('section', { class: 'invitation' }, el('p', {}, words), button);
}
