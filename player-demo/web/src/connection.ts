// A word at the head of the page while it hears nothing new.
import { el } from './dom';
import { live, type Link } from './live';

/** Milliseconds without a connection before anybody is told: most cuts are over by then. */
const PATIENCE = 1500;

/** Says so while the connection is lost, and that it is back. */
export function connection(): void {
  const word = el('div', { class: 'offline', role: 'status', 'data-testid': 'offline', hidden: true });
  document.querySelector('header.bar')?.after(word);
  let timer = 0;
  live.watch((link: Link) => {
    clearTimeout(timer);
    if (link === 'lost') {
      timer = window.setTimeout(() => {
        word.textContent = 'Not connected: what is shown may be old. Trying again…';
        word.hidden = false;
      }, PATIENCE);
    } else word.hidden = true;
  });
}
