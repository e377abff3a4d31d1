// Conversations: a list, and the one that is open. What happens has a number; what comes later than the next is fetched.
import { el, say } from './dom';
import { live } from './live';
import { face } from './nav';
import { ask, me, type Me } from './session';
import { invitation } from './sign-in';

interface Room {
  id: string;
  kind: string;
  name: string;
  seq: number;
  unread: number;
  with?: { account: string; name: string };
  last?: { name: string; text: string };
}

interface Happening {
  seq: number;
  type: string;
  id?: string;
  client_id?: string;
  from?: string;
  name?: string;
  text?: string;
}

/** How many of the newest changes an opened conversation shows. */
const SHOWN = 200;

export async function chat(main: HTMLElement): Promise<void> {
  document.title = 'Chat · Sluice';
  const mine = await me().catch(() => null);
  if (!mine) {
    main.append(el('div', { class: 'column' }, el('h1', {}, 'Chat'), invitation('Sign in to talk.')));
    return;
  }
  const rooms = el('div', { class: 'rooms', 'data-testid': 'rooms' });
  const talk = el('section', { class: 'panel talk', 'aria-label': 'Conversation' }, el('p', { class: 'empty-note', style: 'padding: 24px' }, 'Choose a conversation, or begin one.'));
  let end = () => {};
  let opened = '';
  const open = (room: Room) => {
    end();
    opened = room.id;
    end = converse(talk, room, mine, () => void list());
    for (const button of rooms.querySelectorAll('button')) button.toggleAttribute('aria-current', button.dataset.id === room.id);
  };
  const begin = beginning((room) => {
    void list().then(() => open(room));
  });
  const list = async () => {
    const { conversations } = await ask<{ conversations: Room[] }>('/v1/chat');
    rooms.replaceChildren(...conversations.map((room) => entry(room, room.id === opened, open)));
  };
  main.append(el('h1', { class: 'hidden' }, 'Chat'), el('div', { class: 'chat' }, el('div', { class: 'panel', style: 'display: flex; flex-direction: column; gap: 12px; min-height: 0' }, begin, rooms), talk));
  await list();
}

const title = (room: Room) => room.with?.name ?? (room.name || 'Conversation');

function entry(room: Room, current: boolean, open: (room: Room) => void): HTMLElement {
  const button = el(
    'button',
    { type: 'button', 'data-id': room.id, 'data-testid': 'room', 'aria-current': current },
    face(title(room)),
    el('span', { style: 'min-width: 0' }, el('span', {}, title(room)), el('span', { class: 'last', style: 'display: block' }, room.last ? `${room.last.name}: ${room.last.text}` : '')),
    room.unread > 0 ? el('span', { class: 'unread' }, String(room.unread)) : '',
  );
  button.addEventListener('click', () => open(room));
  return button;
}

function beginning(done: (room: Room) => void): HTMLElement {
  const whom = el('input', { placeholder: 'Talk to a handle', 'aria-label': 'Talk to a handle', required: true, maxlength: '32', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'talk-to' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const form = el('form', {}, el('div', { class: 'row', style: 'flex-wrap: nowrap' }, whom, el('button', { type: 'submit', 'data-testid': 'begin' }, 'Talk')), wrong);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    say(wrong, '');
    ask<Room>('/v1/chat', { method: 'POST', body: { kind: 'direct', with: `@${whom.value.replace(/^@/, '')}` } }).then(
      (room) => {
        whom.value = '';
        done({ ...room, seq: room.seq ?? 0, unread: 0 });
      },
      (error: Error) => say(wrong, error.message),
    );
  });
  return form;
}

/** Shows a conversation and follows it; what is given back ends that. */
function converse(talk: HTMLElement, room: Room, mine: Me, changed: () => void): () => void {
  const said = el('div', { class: 'said', role: 'log', 'aria-label': `With ${title(room)}`, 'data-testid': 'said', tabindex: '0' });
  const waiting = new Map<string, HTMLElement>();
  const shown = new Map<string, HTMLElement>();
  let cursor = Math.max(0, room.seq - SHOWN);
  const take = (one: Happening) => {
    cursor = one.seq;
    if (one.type === 'message' && one.id) {
      const own = one.from === mine.account;
      const line = (own && one.client_id && waiting.get(one.client_id)) || el('p', {});
      line.className = own ? 'mine' : '';
      line.replaceChildren(...(own ? [] : [el('span', { class: 'by' }, one.name ?? '')]), one.text || 'deleted');
      shown.set(one.id, line);
      said.append(line);
    } else if (one.type === 'edit' && one.id) say(shown.get(one.id) ?? el('p', {}), one.text ?? '');
    else if (one.type === 'delete' && one.id) shown.get(one.id)?.remove();
    said.scrollTop = said.scrollHeight;
  };
  let fetching: Promise<void> | null = null;
  const fetchOn = () => (fetching ??= events(room.id, cursor, take).finally(() => (fetching = null)));
  const read = () => void ask(`/v1/chat/${room.id}/cursor`, { method: 'PUT', body: { device: 'page', delivered: cursor, read: cursor } }).then(changed, () => undefined);
  const text = el('input', { placeholder: 'Say something', 'aria-label': 'Message', required: true, maxlength: '4000', autocomplete: 'off', 'data-testid': 'message' });
  const form = el('form', { class: 'say' }, text, el('button', { type: 'submit', 'data-testid': 'send' }, 'Send'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const client = crypto.randomUUID();
    const line = el('p', { class: 'mine waits' }, text.value);
    waiting.set(client, line);
    said.append(line);
    said.scrollTop = said.scrollHeight;
    void deliver(room.id, client, text.value, line);
    text.value = '';
  });
  talk.replaceChildren(el('header', { class: 'row' }, face(title(room)), el('h2', { style: 'margin: 0' }, title(room))), said, form);
  text.focus();
  let end = () => {};
  let ended = false;
  void fetchOn().then(() => {
    if (ended) return;
    read();
    end = live.listen(`chat:${room.id}`, {
      after: cursor,
      token: async () => (await ask<{ token: string }>('/v1/chat/token', { method: 'POST', body: { conversations: [room.id] } })).token,
      hear: ({ seq, data }) => {
        if (seq <= cursor) return;
        // Another number than the next: something was missed.
        if (seq === cursor + 1 && data) take({ ...(data as unknown as Happening), seq });
        else void fetchOn();
        if (data?.type === 'message') read();
      },
      missed: () => void fetchOn(),
    });
  });
  return () => {
    ended = true;
    end();
  };
}

/** Everything after a number, in order. */
async function events(room: string, after: number, take: (one: Happening) => void): Promise<void> {
  for (let more = true; more; ) {
    const page = await ask<{ events: Happening[]; last: number; more: boolean }>(`/v1/chat/${room}/events?after=${after}&limit=200`);
    page.events.forEach(take);
    ({ last: after, more } = page);
  }
}

/** Milliseconds between two tries to send, and how often. */
const AGAIN = [1000, 30] as const;

/** Sends until it is acknowledged: sent again with the same id it is the same message. */
async function deliver(room: string, client: string, text: string, line: HTMLElement): Promise<void> {
  for (let tries = 0; tries < AGAIN[1]; tries += 1) {
    try {
      await ask(`/v1/chat/${room}/messages`, { method: 'POST', body: { client_id: client, text } });
      return line.classList.remove('waits');
    } catch (error) {
      if (error instanceof Error && 'status' in error && Number(error.status) < 500) break;
      await new Promise((done) => setTimeout(done, AGAIN[0]));
    }
  }
  line.append(el('span', { class: 'why' }, ' not sent'));
}
