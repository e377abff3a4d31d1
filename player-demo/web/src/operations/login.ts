// The way in: an operator's token.
import { el } from '../dom';
import { type Me, Refused, forget, keep, whoami } from './session';

/** Shows the form; tells who came in. */
export function login(main: HTMLElement, why: string | null, done: (me: Me) => void): void {
  const note = el('p', { class: 'why', role: 'alert', 'data-testid': 'login-why' }, why ?? '');
  const field = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true, 'data-testid': 'token' });
  const button = el('button', { type: 'submit', class: 'button', 'data-testid': 'login' }, 'Sign in');
  const form = el(
    'form',
    { class: 'login panel' },
    el('h1', {}, 'Operations'),
    el('p', { class: 'dim' }, 'The fleet, live. Bring the token of an operator: the demo prints a link that has one, ', el('code', {}, 'sluice operator NAME'), ' makes one.'),
    el('div', { class: 'field' }, el('label', { for: 'token' }, 'Operator’s token'), field),
    note,
    button,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    keep(field.value);
    whoami()
      .then(done, (error: Error) => {
        forget();
        note.textContent = error instanceof Refused && error.status === 401 ? 'No operator has this token.' : error.message;
        field.select();
      })
      .finally(() => (button.disabled = false));
  });
  main.replaceChildren(form);
  field.focus();
}
