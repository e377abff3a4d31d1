// The list of conversations: with whom, what was said last, how much is unread.
import { el, say } from '../dom';
import { day, hour } from '../format';
import { face } from '../nav';
import { title, type Room } from './api';
import type { Hub } from './hub';

/** Draws the list, and keeps it in step. */
export function roomList(hub: Hub, online: () => Set<string>): { root: HTMLElement; draw: () => void } {
  const root = el('ul', { class: 'rooms', 'data-testid': 'rooms', 'aria-label': 'Conversations' });
  const nodes = new Map<string, { made: string; node: HTMLElement }>();
  const draw = () => {
    const here = online();
    const wanted = hub.list().map((room) => {
      const current = room.id === hub.opened;
      const is = room.with !== undefined && here.has(room.with.account);
      const made = JSON.stringify([title(room), room.last, room.unread, room.last_ms, current, is]);
      const known = nodes.get(room.id);
      const node = known?.made === made ? known.node : entry(room, current, is, hub.mine.account);
      // Whoever goes through the list with the keyboard stays where they are.
      if (known && known.node !== node) {
        const focused = known.node.contains(document.activeElement);
        known.node.replaceWith(node);
        if (focused) node.querySelector('a')?.focus();
      }
      nodes.set(room.id, { made, node });
      return node;
    });
    if (wanted.length !== root.children.length || wanted.some((node, n) => root.children[n] !== node)) {
      const focused = document.activeElement instanceof HTMLElement && root.contains(document.activeElement) ? document.activeElement : null;
      root.replaceChildren(...wanted);
      focused?.focus();
    }
  };
  return { root, draw };
}

function entry(room: Room, current: boolean, online: boolean, me: string): HTMLElement {
  const said = room.last ? (room.last.deleted_ms === undefined ? room.last.text || 'An attachment' : 'Deleted') : 'Nothing said yet';
  const who = room.last && room.kind !== 'direct' ? `${room.last.from === me ? 'You' : room.last.name}: ` : room.last?.from === me ? 'You: ' : '';
  const when = day(room.last_ms, Date.now());
  const unread = el('span', { class: 'unread', 'data-testid': 'unread', hidden: room.unread === 0 });
  say(unread, room.unread >= 1000 ? '999+' : String(room.unread));
  if (room.unread > 0) unread.append(el('span', { class: 'hidden' }, ' unread'));
  return el(
    'li',
    {},
    el(
      'a',
      { href: `/chat/${room.id}`, class: `room${room.unread > 0 ? ' has-unread' : ''}`, 'data-testid': 'room', 'data-id': room.id, 'aria-current': current ? 'page' : undefined },
      el('span', { class: 'face-place' }, face(title(room)), online && el('span', { class: 'dot' }), online && el('span', { class: 'hidden' }, 'online')),
      el('span', { class: 'room-words' }, el('span', { class: 'room-title' }, room.kind === 'channel' ? '# ' : '', title(room)), el('span', { class: 'last' }, who, said)),
      el('span', { class: 'room-side' }, el('time', { class: 'dim' }, when === 'Today' ? hour(room.last_ms) : when), unread),
    ),
  );
}
