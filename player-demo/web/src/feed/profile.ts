// Somebody: who follows them, whom they follow, what they posted.
import { button, el, say } from '../dom';
import { counted } from '../format';
import { isGone } from '../gone';
import { live } from '../live';
import { face } from '../nav';
import { signIn } from '../sign-in';
import { turns } from '../turns';
import { empty } from '../views';
import { follow, follows, fragments, person, postsOf, type Person } from './api';
import { card, type Shelf } from './card';
import { compose } from './compose';
import type { Feeding } from './index';

export async function profilePage(handle: string, { main, until, mine }: Feeding): Promise<void> {
  document.title = `${handle} · Sluice`;
  const own = mine.me?.handle === handle;
  const place = el('div', { class: 'column' });
  main.append(place);
  const first = await person(handle).catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
  const list = el('section', { class: 'posts', 'aria-label': `Posts of ${handle}`, 'data-testid': 'profile-posts' });
  const none = el('p', { class: 'empty-note', hidden: true }, own ? 'You have posted nothing yet.' : `${handle} has posted nothing yet.`);
  if (!first && !own) return void place.append(empty('Nobody here', `Nobody here is called ${handle}.`, el('a', { class: 'button', href: '/feed' }, 'To the feed')));
  const followed = mine.me !== null && !own && (await follows(handle).catch(() => false));
  const { root, show } = head(first ?? { handle, followers: 0, following: 0, posts: 0 }, own, mine, followed);
  const shelf: Shelf = { mine, until, gone: () => (none.hidden = list.childElementCount > 0) };
  const fresh = el('button', { type: 'button', class: 'fresh', hidden: true }, 'New posts');
  const more = el('button', { type: 'button', class: 'more quiet', hidden: true }, 'Show more');
  const wrong = el('p', { class: 'why', role: 'alert' });
  let next: string | null | undefined;
  const inTurn = turns(more);
  const read = async (after: string | null | undefined) => {
    const page = await postsOf(handle, after);
    const posts = await fragments(page.items);
    await mine.ask(posts);
    return { posts, next: page.next };
  };
  const load = (anew: boolean) => inTurn(() => read(anew ? null : next), (page) => {
    if (until.aborted) return;
    say(wrong, '');
    if (anew) list.replaceChildren();
    list.append(...page.posts.map((post) => card(post, shelf)));
    next = page.next;
    more.hidden = !next;
    fresh.hidden = true;
    none.hidden = list.childElementCount > 0;
  });
  const again = (anew: boolean) => () => void load(anew).catch((error: Error) => say(wrong, error.message));
  more.addEventListener('click', again(false));
  fresh.addEventListener('click', again(true));
  place.append(root, ...(own ? [compose((post) => {
    list.prepend(card(post, shelf));
    none.hidden = true;
  })] : []), fresh, none, list, wrong, more);
  if (first) await load(true);
  let posts = first?.posts ?? 0;
  const look = () => void person(handle).then((now) => {
    show(now);
    if (now.posts > posts && !own) fresh.hidden = false;
    posts = now.posts;
  }, () => undefined);
  live.listen(`user:${handle}`, { until, hear: look, missed: look });
}

function head({ handle, ...first }: Person, own: boolean, mine: Feeding['mine'], followed: boolean): { root: HTMLElement; show: (now: Omit<Person, 'handle'>) => void } {
  const numbers = el('p', { class: 'profile-numbers', role: 'status' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  let on = followed;
  const node: HTMLButtonElement = button('Follow', { 'data-testid': 'follow' }, async () => {
    if (!mine.me) return signIn();
    await follow(handle, !on);
    on = !on;
    word();
  }, wrong);
  const word = () => {
    say(node, on ? 'Following' : 'Follow');
    node.classList.toggle('quiet', on);
    node.setAttribute('aria-pressed', String(on));
  };
  word();
  const show = ({ followers, following, posts }: Omit<Person, 'handle'>) => {
    const number = (count: number, one: string, many = `${one}s`) => {
      const [n, ...rest] = counted(count, one, many).split(' ');
      return el('span', {}, el('strong', {}, n ?? ''), ` ${rest.join(' ')}`);
    };
    numbers.replaceChildren(number(posts, 'post'), number(followers, 'follower'), number(following, 'following', 'following'));
  };
  show(first);
  const root = el('section', { class: 'panel profile', 'aria-label': `Profile of ${handle}`, 'data-testid': 'profile' }, face(handle), el('div', { class: 'profile-words' }, el('h1', {}, handle), numbers, wrong), own ? el('span', { class: 'badge' }, 'You') : el('div', { class: 'row' }, node, mine.me && el('a', { class: 'button quiet-button', href: `/chat/with/${handle}`, 'data-testid': 'talk' }, 'Message')));
  return { root, show };
}
