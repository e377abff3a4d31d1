// The head of a conversation: with whom, who is here, and what can be done with it as a whole.
import { button, busy, el, say } from '../dom';
import { counted } from '../format';
import { live, type Link } from '../live';
import { face } from '../nav';
import { invite, leave, title, type Member, type Room } from './api';

const LINKS: Record<Link, string> = { idle: 'Connecting…', connecting: 'Connecting…', open: 'Connected', lost: 'Not connected: trying again…' };

export interface Head {
  root: HTMLElement;
  /** Who is in it and how many that are in all, who of them is here, and who types. */
  show: (members: Member[], many: number, online: Set<string>, typists: string[]) => void;
}

export function roomHead(room: Room, me: string, until: AbortSignal, left: () => void): Head {
  const under = el('p', { class: 'dim under', role: 'status', 'data-testid': 'under' });
  const link = el('span', { class: 'link', role: 'status', 'data-testid': 'link' });
  live.watch((now) => {
    say(link, LINKS[now]);
    link.dataset.link = now;
  }, until);
  const dot = room.kind === 'direct' ? el('span', { class: 'dot', hidden: true }) : null;
  const wrong = el('p', { class: 'why', role: 'alert' });
  const people = el('ul', { class: 'people', 'data-testid': 'people' });
  const about = el('div', { class: 'about-room', hidden: true, id: 'about-room' }, people, ...(room.kind === 'direct' ? [] : [inviting(room, wrong), leaving(room, left, wrong)]), wrong);
  const more = el('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', 'aria-controls': 'about-room', 'data-testid': 'about' }, 'Details');
  more.addEventListener('click', () => {
    about.hidden = !about.hidden;
    more.setAttribute('aria-expanded', String(!about.hidden));
  });
  const root = el(
    'header',
    { class: 'room-head' },
    el('a', { href: '/chat', class: 'back', 'aria-label': 'All conversations' }, '←'),
    el('span', { class: 'face-place' }, face(title(room)), dot),
    el('div', { class: 'room-name' }, el('h1', { 'data-testid': 'room-title' }, title(room)), under),
    link,
    more,
    about,
  );
  let made = '';
  const show = (members: Member[], many: number, online: Set<string>, typists: string[]) => {
    const others = members.filter(({ account }) => account !== me);
    const names = typists.map((account) => members.find((member) => member.account === account)?.name ?? 'somebody');
    const here = others.filter(({ account }) => online.has(account)).length;
    const still = room.kind === 'direct' ? (here > 0 ? 'online' : 'offline') : `${counted(many, 'member')}${here > 0 ? `, ${here} online` : ''}`;
    say(under, names.length > 0 ? `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} typing…` : still);
    if (dot) dot.hidden = here === 0;
    const now = JSON.stringify(members.map(({ account, name, role }) => [account, name, role, online.has(account)]));
    // Who goes through them with the keyboard stays where they are while nothing changes.
    if (made !== now) people.replaceChildren(...members.map(({ account, name, role }) => el('li', {}, el('span', { class: 'face-place' }, face(name), online.has(account) && el('span', { class: 'dot' })), el('a', { href: `/feed/users/${name}` }, account === me ? `${name} (you)` : name), role === 'owner' && el('span', { class: 'badge' }, 'owner'))));
    made = now;
  };
  return { root, show };
}

function inviting({ id }: Room, wrong: HTMLElement): HTMLElement {
  const handle = el('input', { placeholder: 'A handle', 'aria-label': 'Invite by handle', required: true, maxlength: '33', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'invite-handle' });
  const add = el('button', { type: 'submit', class: 'quiet' }, 'Invite');
  const form = el('form', { class: 'row tight' }, handle, add);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(add, wrong, () => invite(id, handle.value.replace(/^@/, '')).then(() => form.reset()));
  });
  return form;
}

function leaving({ id }: Room, left: () => void, wrong: HTMLElement): HTMLElement {
  const node: HTMLButtonElement = button('Leave', { class: 'quiet', 'data-testid': 'leave' }, () => {
    if (node.dataset.sure) return leave(id).then(left);
    node.dataset.sure = 'yes';
    node.textContent = 'Leave for good?';
  }, wrong);
  return node;
}
