// The line of a message that is on its way: that it is and how many of its files are there, or why it could not be sent and what can
// be done about that.
import { button, el, say } from '../dom';
import { TICKS } from './line';
import type { Outbox, Waiting } from './outbox';

interface Line {
  root: HTMLElement;
  /** How many of its files are there. */
  files: HTMLElement;
}

const lines = new WeakMap<Waiting, Line>();

/** The line of a message, the same for as long as it is; how far it is, is brought up to date. Its buttons go with it: `then` the focus
 * goes elsewhere. */
export function waiting(one: Waiting, box: Outbox, then: () => void): HTMLElement {
  const { root, files } = lines.get(one) ?? made(one, box, then);
  lines.set(one, { root, files });
  const kept = one.files.filter((carried) => carried.kept).length;
  say(files, one.tick === 'waits' && kept < one.files.length ? `${kept} of ${one.files.length} files ` : '');
  return root;
}

function made(one: Waiting, box: Outbox, then: () => void): Line {
  const [sign, words] = TICKS[one.tick];
  const files = el('span', { 'data-testid': 'files-sent' });
  const names = one.files.map(({ file }) => el('span', { class: 'attached' }, el('span', { class: 'file-name' }, file.name)));
  const when = el('span', { class: 'when' }, files, el('span', { 'aria-hidden': 'true' }, sign), el('span', { class: 'hidden' }, words));
  const root = el('div', { class: 'line mine head waits', 'data-testid': 'line', 'data-tick': one.tick }, el('div', { class: 'bubble' }, one.text && el('span', { class: 'words' }, one.text), ...names, when));
  if (one.tick === 'failed') {
    const way = (words: string, act: () => void) => button(words, { class: 'quiet' }, () => {
      act();
      then();
    });
    const ways = [way('Try again', () => box.again(one)), way('Take back', () => box.takeBack(one))];
    root.append(el('span', { class: 'why' }, one.why), el('div', { class: 'line-menu' }, ...ways));
  }
  return { root, files };
}
