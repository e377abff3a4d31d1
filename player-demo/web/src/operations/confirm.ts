// Dialogs: a question before what changes the fleet, and a sheet to read.
import { el } from '../dom';

/** Asks; does it when told to, and stays open with the reason if that fails. */
export function confirm(title: string, text: string, verb: string, act: () => Promise<unknown>): void {
  const why = el('p', { class: 'why', role: 'alert' });
  const yes = el('button', { type: 'button', class: 'button', 'data-testid': 'confirm' }, verb);
  const no = el('button', { type: 'button', class: 'quiet' }, 'Cancel');
  const close = open(title, el('p', {}, text), why, el('div', { class: 'actions' }, yes, no));
  no.addEventListener('click', close);
  yes.addEventListener('click', () => {
    yes.disabled = true;
    act().then(close, (error: Error) => {
      why.textContent = error.message;
      yes.disabled = false;
    });
  });
  no.focus();
}

/** A sheet with something to read. */
export function sheet(title: string, ...content: (Node | string)[]): void {
  const shut = el('button', { type: 'button', class: 'quiet' }, 'Close');
  const close = open(title, ...content, el('div', { class: 'actions' }, shut));
  shut.addEventListener('click', close);
}

function open(title: string, ...content: (Node | string)[]): () => void {
  const heading = el('h2', { id: 'dialog-title' }, title);
  const dialog = el('dialog', { class: 'edit sheet', 'aria-labelledby': 'dialog-title' }, heading, ...content);
  document.body.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.showModal();
  return () => dialog.close();
}
