// A word at the foot of the page, with a way back for a while.
import { el } from './dom';

/** How long a toast stays, in milliseconds: time to read it and to reach the button. */
const STAYS = 8000;

let shelf: HTMLElement | null = null;

/** Says something that can be undone. What is pointed at or focused stays. */
export function toast(text: string, undo: () => Promise<void>): void {
  if (!shelf) {
    shelf = el('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
    document.body.append(shelf);
  }
  const button = el('button', { type: 'button', class: 'quiet', 'data-testid': 'undo' }, 'Undo');
  const root = el('div', { class: 'toast', 'data-testid': 'toast' }, el('span', {}, text), button);
  let timer = window.setTimeout(() => root.remove(), STAYS);
  const stay = () => clearTimeout(timer);
  const go = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => root.remove(), STAYS / 2);
  };
  for (const name of ['pointerenter', 'focusin']) root.addEventListener(name, stay);
  for (const name of ['pointerleave', 'focusout']) root.addEventListener(name, go);
  button.addEventListener('click', () => {
    button.disabled = true;
    undo().then(
      () => root.remove(),
      (error: Error) => root.replaceChildren(el('span', { class: 'why' }, error.message)),
    );
  });
  shelf.append(root);
}
