// The account of who is signed in: a dialog with a new password, and the ways out.
import { busy, button, el, field, say } from './dom';
import { changePassword, leave, leaveEverywhere, Refused } from './session';
import { anew } from './unsaved';

/** Opens the dialog. */
export function account(handle: string): void {
  // Whoever keeps passwords is told whose this one is.
  const whose = el('input', { type: 'text', name: 'username', autocomplete: 'username', value: handle, hidden: true, readonly: true });
  const secret = (id: string, autocomplete: string) => el('input', { id, name: id, type: 'password', autocomplete, required: true, minlength: '8', maxlength: '200', 'data-testid': id });
  const current = secret('current-password', 'current-password');
  const next = secret('new-password', 'new-password');
  const why = el('p', { class: 'why', role: 'alert' });
  const told = el('p', { class: 'told', role: 'status' });
  const change = el('button', { type: 'submit', 'data-testid': 'change-password' }, 'Change password');
  const close = button('Close', { class: 'quiet' }, () => dialog.close());
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', {}, 'Your account'),
    whose,
    field('Current password', current),
    field('New password (8 characters or more)', next),
    why,
    told,
    el('div', { class: 'actions' }, change, close),
  );
  const gone = (how: () => Promise<void>) => () => how().then(anew);
  const out = button('Sign out', { class: 'quiet', 'data-testid': 'sign-out' }, gone(leave), why);
  const everywhere = button('Sign out everywhere', { class: 'quiet', 'data-testid': 'sign-out-everywhere' }, gone(leaveEverywhere), why);
  const dialog = el('dialog', { class: 'edit', 'aria-label': 'Your account' }, form, el('div', { class: 'actions' }, everywhere, out));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(told, '');
    void busy(change, why, async () => {
      await changePassword(current.value, next.value).catch((error: unknown) => {
        const isWrong = error instanceof Refused && error.kind === 'wrong-password';
        throw isWrong ? new Error('Your current password is another one.') : error;
      });
      form.reset();
      say(told, 'Your password is changed. All other devices are signed out.');
    });
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
