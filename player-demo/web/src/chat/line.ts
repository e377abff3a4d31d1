// One message: what it says, when, how far it has come, what others think of it, and what can be done with it.
import { button, el, say } from '../dom';
import { hour } from '../format';
import type { Message } from './api';
import { attached } from './attached';
import { place } from './log';

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

/** What brings a line up to date. */
const shows = new WeakMap<HTMLElement, (message: Message, shown: Shown) => void>();

/** The line of a message, or the one that there `was`, brought up to date: what is open in it stays so, and the focus where it is. */
export function line(message: Message, shown: Shown, acts: Acts, was?: HTMLElement): HTMLElement {
  const again = was && shows.get(was);
  if (again) {
    again(message, shown);
    return was;
  }
  const bubble = bubbleOf();
  const wrong = el('span', { class: 'why', role: 'alert' });
  const { menu, more, back, press } = actions(shown, acts, wrong);
  const { root: row, show: react } = chips(acts, back, wrong);
  const root = el('div', { 'data-testid': 'line', 'data-id': message.id }, bubble.root, more, row, menu, wrong);
  const show = (now: Message, as: Shown) => {
    root.className = `line${as.own ? ' mine' : ''}${as.head ? ' head' : ''}${as.found ? ' found' : ''}`;
    if (as.tick) root.dataset.tick = as.tick;
    bubble.show(now, as);
    if (now.deleted_ms !== undefined) return root.replaceChildren(bubble.root);
    more.setAttribute('aria-label', `More for: ${now.text.slice(0, 60) || now.attachments?.[0]?.name || 'message'}`);
    press(as);
    react(as);
  };
  show(message, shown);
  shows.set(root, show);
  return root;
}

/** What a message says. What did not change stays: it is read aloud once, what is selected of it stays so, and what plays goes on. */
function bubbleOf(): { root: HTMLElement; show: (message: Message, shown: Shown) => void } {
  const [by, words, files] = [el('span', { class: 'by' }), el('span'), el('div', { class: 'attached-all' })];
  const [edited, time, come] = [el('span'), el('time'), el('span')];
  const when = el('span', { class: 'when' }, edited, time, come);
  const made = new Map<HTMLElement, string>();
  const fill = (node: HTMLElement, of: unknown, make: () => (Node | string)[]) => {
    const now = JSON.stringify(of);
    if (made.get(node) !== now) node.replaceChildren(...make());
    made.set(node, now);
  };
  const show = (message: Message, shown: Shown) => {
    const gone = message.deleted_ms !== undefined;
    const all = gone ? [] : (message.attachments ?? []);
    by.hidden = !(shown.named && shown.head);
    say(by, message.name);
    fill(words, [gone, message.text], () => (gone ? [el('span', { class: 'gone' }, 'Deleted')] : message.text ? [el('span', { class: 'words', 'data-testid': 'words' }, message.text)] : []));
    fill(files, all, () => all.map(attached));
    files.hidden = all.length === 0;
    say(edited, message.edited_ms !== undefined && !gone ? 'edited · ' : '');
    time.dateTime = new Date(message.at_ms).toISOString();
    say(time, hour(message.at_ms));
    fill(come, [shown.tick, shown.far], () => tick(shown));
  };
  return { root: el('div', { class: 'bubble' }, by, words, files, when), show };
}

function tick({ tick: now, far }: Shown): (Node | string)[] {
  if (!now) return [];
  const [sign, words] = TICKS[now];
  return [' ', el('span', { class: `tick ${now}`, title: far || words, 'data-testid': 'tick' }, el('span', { 'aria-hidden': 'true' }, sign), el('span', { class: 'hidden' }, far || words))];
}

const isOn = (node: HTMLElement): boolean => node.getAttribute('aria-pressed') === 'true';

/** What others think of it: who presses one stays there, or goes `back` if it is no more. */
function chips({ react, nameOf }: Acts, back: () => void, wrong: HTMLElement): { root: HTMLElement; show: (shown: Shown) => void } {
  const root = el('div', { class: 'reactions' });
  const nodes = new Map<string, HTMLButtonElement>();
  const make = (emoji: string) => {
    const node: HTMLButtonElement = button('', { class: 'reaction', 'data-testid': 'reaction' }, () => react(emoji, !isOn(node)).then(() => node.isConnected || back()), wrong);
    nodes.set(emoji, node);
    return node;
  };
  const show = ({ reactions, me }: Shown) => {
    const held = root.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
    const wanted = reactions.map(([emoji, accounts]) => {
      const node = nodes.get(emoji) ?? make(emoji);
      const who = accounts.map((account) => (account === me ? 'you' : nameOf(account))).join(', ');
      const label = `${emoji}, ${accounts.length}: ${who}`;
      if (node.getAttribute('aria-label') !== label) node.replaceChildren(el('span', { 'aria-hidden': 'true' }, emoji), ` ${accounts.length}`);
      node.title = who;
      node.setAttribute('aria-label', label);
      node.setAttribute('aria-pressed', String(accounts.includes(me)));
      return node;
    });
    place(root, wanted);
    root.hidden = wanted.length === 0;
    if (held && root.contains(held)) held.focus();
    else if (held) back();
  };
  return { root, show };
}

interface Actions {
  menu: HTMLElement;
  more: HTMLElement;
  /** Has the focus, where nothing else on the page has it. */
  back: () => void;
  press: (shown: Shown) => void;
}

/** A button that opens what can be done. */
function actions({ own, mayDelete }: Shown, acts: Acts, wrong: HTMLElement): Actions {
  const menu = el('div', { class: 'line-menu', role: 'group', 'aria-label': 'What to do with it', hidden: true });
  const more = el('button', { type: 'button', class: 'line-more', 'aria-expanded': 'false', 'data-testid': 'more' }, '⋯');
  const open = (on: boolean) => {
    menu.hidden = !on;
    more.setAttribute('aria-expanded', String(on));
  };
  const back = () => {
    if (document.activeElement === document.body || (menu.hidden && menu.contains(document.activeElement))) more.focus();
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
  const chosen = () => {
    open(false);
    back();
  };
  const emoji = EMOJI.map(([sign, name]) => {
    const node: HTMLButtonElement = button(sign, { class: 'emoji', 'aria-label': `React: ${name}`, 'data-testid': `react-${name.replace(' ', '-')}` }, () => acts.react(sign, !isOn(node)).then(chosen), wrong);
    return node;
  });
  menu.append(
    ...emoji,
    ...(own ? [button('Edit', { class: 'quiet', 'data-testid': 'edit-message' }, () => {
      open(false);
      acts.edit();
    })] : []),
    ...(mayDelete ? [removal(acts, wrong)] : []),
  );
  const press = ({ reactions, me }: Shown) => {
    const mine = new Set(reactions.filter(([, accounts]) => accounts.includes(me)).map(([sign]) => sign));
    EMOJI.forEach(([sign], n) => emoji[n]!.setAttribute('aria-pressed', String(mine.has(sign))));
  };
  return { menu, more, back, press };
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
