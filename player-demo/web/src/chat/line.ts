// One message: what it says, when, how far it has come, what others think of it, and what can be done with it.
import { button, el, type Child } from '../dom';
import { bytes, hour } from '../format';
import { local } from '../local';
import { picture } from '../picture';
import type { Attachment, Message } from './api';

/** How far a message has come. */
export type Tick = 'waits' | 'sent' | 'delivered' | 'read' | 'failed';

/** The sign of each, and what it says in words. */
export const TICKS: Record<Tick, [string, string]> = {
  waits: ['…', 'on its way'],
  sent: ['✓', 'sent'],
  delivered: ['✓✓', 'delivered'],
  read: ['✓✓', 'read'],
  failed: ['!', 'not sent'],
};

/** Emoji that are at hand. */
const EMOJI = [['👍', 'thumbs up'], ['❤️', 'heart'], ['😂', 'laughing'], ['🎉', 'party'], ['😮', 'surprised'], ['😢', 'sad']] as const;

/** What a line is to show beside the message itself. */
export interface Shown {
  own: boolean;
  /** Others may have said it too: it says who did. */
  named: boolean;
  /** The first of several by the same author. */
  head: boolean;
  tick: Tick | null;
  /** In words, for whoever wants to know: `Read by 2 of 3`. */
  far: string;
  /** It was looked for. */
  found: boolean;
  reactions: [string, string[]][];
  me: string;
  mayDelete: boolean;
}

/** What can be done with a message. */
export interface Acts {
  react: (emoji: string, on: boolean) => Promise<unknown>;
  edit: () => void;
  remove: () => Promise<unknown>;
  nameOf: (account: string) => string;
}

export function line(message: Message, shown: Shown, acts: Acts): HTMLElement {
  const gone = message.deleted_ms !== undefined;
  const body = gone ? [el('span', { class: 'gone' }, 'Deleted')] : [message.text && el('span', { class: 'words', 'data-testid': 'words' }, message.text), ...(message.attachments ?? []).map(attachment)];
  const bubble = el(
    'div',
    { class: 'bubble' },
    shown.named && shown.head && el('span', { class: 'by' }, message.name),
    ...body,
    el('span', { class: 'when' }, message.edited_ms !== undefined && !gone && 'edited · ', el('time', { datetime: new Date(message.at_ms).toISOString() }, hour(message.at_ms)), ...tick(shown)),
  );
  const root = el('div', { class: `line${shown.own ? ' mine' : ''}${shown.head ? ' head' : ''}${shown.found ? ' found' : ''}`, 'data-testid': 'line', 'data-id': message.id, 'data-tick': shown.tick ?? undefined }, bubble);
  if (gone) return root;
  const wrong = el('span', { class: 'why', role: 'alert' });
  const { menu, more } = actions(message, shown, acts, wrong);
  bubble.after(more);
  const chips = shown.reactions.map(([emoji, accounts]) => chip(emoji, accounts, shown.me, acts, wrong));
  if (chips.length > 0) root.append(el('div', { class: 'reactions' }, ...chips));
  root.append(menu, wrong);
  return root;
}

function tick({ tick: now, far }: Shown): Child[] {
  if (!now) return [];
  const [sign, words] = TICKS[now];
  return [' ', el('span', { class: `tick ${now}`, title: far || words, 'data-testid': 'tick' }, el('span', { 'aria-hidden': 'true' }, sign), el('span', { class: 'hidden' }, far || words))];
}

function chip(emoji: string, accounts: string[], me: string, { react, nameOf }: Acts, wrong: HTMLElement): HTMLElement {
  const mine = accounts.includes(me);
  const who = accounts.map((account) => (account === me ? 'you' : nameOf(account))).join(', ');
  return button([el('span', { 'aria-hidden': 'true' }, emoji), ` ${accounts.length}`], { class: 'reaction', 'aria-pressed': String(mine), 'aria-label': `${emoji}, ${accounts.length}: ${who}`, title: who, 'data-testid': 'reaction' }, () => react(emoji, !mine), wrong);
}

/** A button that opens what can be done. */
function actions(message: Message, { own, mayDelete, reactions, me }: Shown, acts: Acts, wrong: HTMLElement): { menu: HTMLElement; more: HTMLElement } {
  const menu = el('div', { class: 'line-menu', role: 'group', 'aria-label': 'What to do with it', hidden: true });
  const more = el('button', { type: 'button', class: 'line-more', 'aria-expanded': 'false', 'aria-label': `More for: ${message.text.slice(0, 60) || 'message'}`, 'data-testid': 'more' }, '⋯');
  const open = (on: boolean) => {
    menu.hidden = !on;
    more.setAttribute('aria-expanded', String(on));
  };
  more.addEventListener('click', () => {
    open(menu.hidden);
    if (!menu.hidden) menu.scrollIntoView({ block: 'nearest' });
  });
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    open(false);
    more.focus();
  });
  const mine = new Set(reactions.filter(([, accounts]) => accounts.includes(me)).map(([emoji]) => emoji));
  menu.append(
    ...EMOJI.map(([emoji, name]) => button(emoji, { class: 'emoji', 'aria-label': `React: ${name}`, 'aria-pressed': String(mine.has(emoji)), 'data-testid': `react-${name.replace(' ', '-')}` }, () => acts.react(emoji, !mine.has(emoji)).then(() => open(false)), wrong)),
    ...(own ? [button('Edit', { class: 'quiet', 'data-testid': 'edit-message' }, () => {
      open(false);
      acts.edit();
    })] : []),
    ...(mayDelete ? [removal(acts, wrong)] : []),
  );
  return { menu, more };
}

/** Asked once more, in the same place. */
function removal(acts: Acts, wrong: HTMLElement): HTMLElement {
  const node: HTMLButtonElement = button('Delete', { class: 'quiet', 'data-testid': 'delete-message' }, () => {
    if (node.dataset.sure) return acts.remove();
    node.dataset.sure = 'yes';
    node.textContent = 'Delete for all?';
  }, wrong);
  return node;
}

function attachment({ name, type, bytes: size, path }: Attachment): HTMLElement {
  const at = local(path, location.origin);
  if (!at) return el('span', { class: 'attached' }, `📎 ${name} (${bytes(size)})`);
  if (type.startsWith('image/')) return el('a', { href: at, target: '_blank', rel: 'noopener', class: 'attached' }, picture(at, name, '300px'));
  return el('a', { href: at, download: name, class: 'attached' }, `📎 ${name} (${bytes(size)})`);
}
