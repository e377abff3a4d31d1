// Conversations: the list of them, and the one that is open. What happens has a number; what comes later than the next is fetched.
import { button, el } from '../dom';
import { me } from '../session';
import { invitation } from '../sign-in';
import { unique } from '../unique';
import { empty, go, trouble, views } from '../views';
import { make, type Room } from './api';
import { begin } from './begin';
import { Hub } from './hub';
import { beat } from './presence';
import { roomList } from './room-list';
import { searching } from './search';
import { Talk } from './talk';

export async function chat(main: HTMLElement): Promise<void> {
  document.title = 'Chat · Sluice';
  const mine = await me();
  if (!mine) {
    main.append(el('div', { class: 'column' }, el('h1', {}, 'Chat'), invitation('Sign in to talk: to one, to some, or in channels.')));
    return;
  }
  const hub = new Hub(mine);
  let online = new Set<string>();
  let talk: Talk | null = null;
  const { root: rooms, draw } = roomList(hub, () => online);
  const none = el('p', { class: 'empty-note', hidden: true, 'data-testid': 'no-rooms' }, 'Nobody to talk to yet. Begin a conversation, or join a channel.');
  const { root: search, within } = searching(hub, (on) => {
    rooms.hidden = on;
    older.hidden = on || !hub.hasMore();
  });
  const begun = (id: string) => void hub.look().catch(() => undefined).then(() => go(`/chat/${id}`));
  const anew = el('button', { type: 'button', 'data-testid': 'new-room' }, 'New');
  anew.addEventListener('click', () => begin(begun));
  const wrong = el('p', { class: 'why', role: 'alert' });
  const older = button('More conversations', { class: 'quiet', hidden: true, 'data-testid': 'more-rooms' }, () => hub.more(), wrong);
  const list = el('nav', { class: 'panel list', 'aria-label': 'Conversations' }, el('div', { class: 'row' }, el('h1', {}, 'Chat'), el('span', { class: 'push' }, anew)), search, rooms, none, older, wrong);
  const place = el('div', { class: 'place' });
  const root = el('div', { class: 'chat' }, list, place);
  const changed = () => {
    draw();
    none.hidden = hub.rooms.size > 0;
    older.hidden = rooms.hidden || !hub.hasMore();
    const unread = hub.unread();
    document.title = `${unread > 0 ? `(${unread}) ` : ''}Chat · Sluice`;
  };
  hub.watch(changed);
  await hub.begin();
  const accounts = () => hub.list().flatMap((room) => (room.with ? [room.with.account] : []));
  beat(() => [...new Set([...accounts(), ...(talk?.accounts() ?? [])])], (now) => {
    online = now;
    draw();
    talk?.showHead();
  });
  views(main, async ([id, seq], view) => {
    if (id === 'with' && seq) return direct(hub, seq, view.until);
    view.main.append(root);
    hub.opened = id ?? '';
    root.toggleAttribute('data-open', id !== undefined);
    talk = null;
    within(id ?? '');
    changed();
    if (!id) return place.replaceChildren(empty('No conversation is open', 'Choose one, or begin a new one.'));
    if (!hub.rooms.has(id)) place.replaceChildren(el('p', { class: 'dim', role: 'status' }, 'Loading…'));
    let room: Room | null;
    try {
      room = await hub.find(id);
    } catch (error) {
      if (view.until.aborted) return;
      return place.replaceChildren(trouble(error as Error));
    }
    if (view.until.aborted) return;
    if (!room) return place.replaceChildren(empty('No such conversation', 'There is none, or you are not in it.', el('a', { class: 'button', href: '/chat' }, 'All conversations')));
    talk = new Talk(hub, room, () => online, view.until);
    place.replaceChildren(talk.root);
    await talk.open(Number(seq) || undefined);
  });
}

/** Opens the conversation with somebody, which is made if there is none; whoever has gone elsewhere meanwhile stays there. */
async function direct(hub: Hub, handle: string, until: AbortSignal): Promise<void> {
  const { id } = await make({ kind: 'direct', with: `@${handle}` }, unique());
  await hub.look().catch(() => undefined);
  if (until.aborted) return;
  history.replaceState(null, '', '/chat');
  go(`/chat/${id}`);
}
