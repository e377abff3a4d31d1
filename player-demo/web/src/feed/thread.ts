// A conversation: the post that it began with, and its replies below what they answer.
import { el, say } from '../dom';
import { isGone } from '../gone';
import { live } from '../live';
import { invitation } from '../sign-in';
import { demand } from '../versions';
import { empty } from '../views';
import { fragments, post, shows, thread, type Post } from './api';
import { card, type Shelf } from './card';
import { compose } from './compose';
import type { Feeding } from './index';

/** How deep replies are shown in; what is deeper stands at the same depth. */
const DEEP = 4;

/** A reply with its depth. */
export interface Placed {
  post: Post;
  depth: number;
}

/** Replies in the order in which they are read: each below what it answers, the oldest first. Pure. */
export function arranged(root: string, replies: Post[]): Placed[] {
  const of = new Map<string, Post[]>();
  const known = new Set(replies.map(({ id }) => id));
  for (const reply of replies) {
    // What it answers may be deleted: then it stands below the first post.
    const above = reply.reply_to && known.has(reply.reply_to) ? reply.reply_to : root;
    of.set(above, [...(of.get(above) ?? []), reply]);
  }
  const walk = (id: string, depth: number): Placed[] => (of.get(id) ?? []).flatMap((reply) => [{ post: reply, depth }, ...walk(reply.id, depth + 1)]);
  return walk(root, 0);
}

/** The post of a fragment's path. Pure. */
const idOf = (path: string): string => path.split('/').at(-1) ?? path;

export async function threadPage(id: string, feeding: Feeding): Promise<void> {
  const { main, until, mine } = feeding;
  document.title = 'Conversation · Sluice';
  const asked = await post(id).catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
  const way = el('a', { class: 'button', href: '/feed' }, 'To the feed');
  if (!asked) return void main.append(el('div', { class: 'column' }, empty('It is gone', 'There is no such post, or it was deleted.', way)));
  // What a repost shows is what is answered.
  if (asked.repost_of) return threadPage(shows(asked), feeding);
  const begun = await thread(id);
  const root = begun.root.endsWith(`/${id}`) ? asked : (await fragments([{ f: begun.root }]))[0] ?? null;
  if (root) await mine.ask([root]);
  const replies = el('div', { class: 'posts replies', 'data-testid': 'replies-list' });
  const told = el('p', { class: 'hidden', role: 'status' });
  const cards = new Map<string, HTMLElement>();
  let shown: Post[] = [];
  const shelf: Shelf = { mine, until, gone: ({ id: gone }) => {
    cards.delete(gone);
    shown = shown.filter((one) => one.id !== gone);
  }, replied: () => void look(), reply: (to, at) => answer(to, at, (made) => put([...shown, made])) };
  const put = (all: Post[]) => {
    shown = [...new Map(all.map((one) => [one.id, one])).values()].sort((a, b) => a.at_ms - b.at_ms);
    const nodes = arranged(root?.id ?? id, shown).map(({ post: one, depth }) => {
      const node = cards.get(one.id) ?? card(one, shelf);
      cards.set(one.id, node);
      node.style.setProperty('--depth', String(Math.min(depth, DEEP)));
      node.toggleAttribute('data-asked', one.id === id);
      return node;
    });
    // What is written below a reply stays where it is.
    for (const form of replies.querySelectorAll('form')) nodes.splice(nodes.indexOf(form.previousElementSibling as HTMLElement) + 1, 0, form);
    replies.replaceChildren(...nodes);
  };
  const read = async () => {
    const items = [];
    for (let after: string | null | undefined; ; ) {
      const page = await thread(id, after);
      items.push(...page.items);
      after = page.next;
      if (!after) break;
    }
    // A post says the same as long as it is there, and its counts are pushed: only what is new is fetched.
    const known = new Set(shown.map((one) => one.id));
    const fresh = await fragments(items.filter(({ f }) => !known.has(idOf(f))));
    await mine.ask(fresh);
    const listed = new Set(items.map(({ f }) => idOf(f)));
    return [...shown.filter((one) => listed.has(one.id)), ...fresh];
  };
  let [looking, wanted] = [false, false];
  const look = async () => {
    wanted = true;
    if (looking) return;
    looking = true;
    const before = shown.length;
    while (wanted && !until.aborted) {
      wanted = false;
      const all = await read().catch(() => null);
      if (all) put(all);
    }
    looking = false;
    if (shown.length > before) say(told, `${shown.length - before} new ${shown.length - before === 1 ? 'reply' : 'replies'}`);
  };
  const first = root ? card(root, { ...shelf, gone: () => void 0 }) : el('p', { class: 'panel dim' }, 'The first post was deleted.');
  first.classList.add('first');
  const say_ = root ? (mine.me ? compose((made) => put([...shown, made]), root) : invitation('Sign in to answer.')) : el('span');
  main.append(el('div', { class: 'column' }, el('p', {}, el('a', { href: '/feed', class: 'dim' }, '← Feed')), el('h1', { class: 'hidden' }, 'Conversation'), first, say_, told, replies));
  put(await read());
  live.listen(`thread:${idOf(begun.root)}`, { until, missed: () => void look(), hear: ({ channel, seq }) => {
    demand(channel, seq);
    void look();
  } });
  if (root?.id !== id) cards.get(id)?.scrollIntoView({ block: 'center' });
}

/** A form below a reply, once. */
function answer(to: Post, at: HTMLElement, done: (post: Post) => void): void {
  const beside = at.nextElementSibling;
  if (beside instanceof HTMLFormElement) return beside.querySelector('textarea')?.focus();
  const form = compose((made) => {
    form.remove();
    done(made);
  }, to);
  form.style.setProperty('--depth', at.style.getPropertyValue('--depth') || '0');
  at.after(form);
  form.querySelector('textarea')?.focus();
}
