// The line of a message that is on its way: that it is, or why it could not be sent and what can be done about that.
import { button, el } from '../dom';
import { TICKS } from './line';
import type { Outbox, Waiting } from './outbox';

export function waiting(one: Waiting, box: Outbox): HTMLElement {
  const [sign, words] = TICKS[one.tick];
  const bubble = el('div', { class: 'bubble' }, el('span', { class: 'words' }, one.text), el('span', { class: 'when' }, el('span', { 'aria-hidden': 'true' }, sign), el('span', { class: 'hidden' }, words)));
  const root = el('div', { class: 'line mine head waits', 'data-testid': 'line', 'data-tick': one.tick }, bubble);
  if (one.tick === 'failed') {
    const ways = [button('Try again', { class: 'quiet' }, () => box.again(one)), button('Take back', { class: 'quiet' }, () => box.takeBack(one))];
    root.append(el('span', { class: 'why' }, one.why), el('div', { class: 'line-menu' }, ...ways));
  }
  return root;
}
