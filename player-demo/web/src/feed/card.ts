// A post: who, when, what; and what one can do with it. Its counts are pushed.
import { get } from '../api';
import { button, el, say } from '../dom';
import { ago, counted } from '../format';
import { isGone } from '../gone';
import { live, type Frame } from '../live';
import { face } from '../nav';
import { signIn } from '../sign-in';
import { whileSeen } from '../sight';
import { shownAt } from '../versions';
import { fragment, like, post as read, remove, repost, shows, type Counts, type Post } from './api';
import type { Mine, What } from './mine';
import { album } from './photos';

/** Milliseconds for which counts are as they were read. */
const FRESH = 2000;

export interface Shelf {
  mine: Mine;
  until: AbortSignal;
  /** A reply is to be written here; without it the button goes to the conversation. */
  reply?: ((post: Post, card: HTMLElement) => void) | undefined;
  /** It is there no longer. */
  gone?: ((post: Post) => void) | undefined;
  /** Its replies are more, or fewer. */
  replied?: ((post: Post) => void) | undefined;
}

export function card(post: Post, shelf: Shelf): HTMLElement {
  const root = el('article', { class: `panel post kind-${post.kind}`, 'data-testid': 'feed-post', 'data-id': post.id, 'aria-label': `${post.author}: ${(post.text ?? '').slice(0, 80)}` });
  const leave = () => {
    root.remove();
    shelf.gone?.(post);
  };
  root.append(
    el('a', { href: `/feed/users/${post.author}`, class: 'post-face', tabindex: '-1', 'aria-hidden': 'true' }, face(post.author)),
    el(
      'div',
      { class: 'post-body' },
      el('p', { class: 'post-head' }, el('a', { href: `/feed/users/${post.author}`, class: 'post-author', 'data-testid': 'author' }, post.author), post.kind === 'repost' && el('span', { class: 'dim' }, 'reposted'), el('a', { class: 'dim', href: `/feed/posts/${post.id}` }, el('time', { datetime: new Date(post.at_ms).toISOString() }, ago(post.at_ms, Date.now())))),
      post.text && el('p', { class: 'post-text', 'data-testid': 'post-words' }, post.text),
      album(post.photos ?? []),
      post.video && film(post.video),
      post.repost_of && quoted(post.repost_of),
      foot(post, shelf, root, leave),
    ),
  );
  return root;
}

/** The buttons, with counts that follow. */
function foot(post: Post, shelf: Shelf, root: HTMLElement, leave: () => void): HTMLElement {
  const wrong = el('span', { class: 'why', role: 'alert' });
  const now: Counts = { likes: post.likes, replies: post.replies, reposts: post.reposts };
  const on = shows(post);
  const likes = el('span', { 'data-testid': 'likes' });
  const replies = el('span', { 'data-testid': 'replies' });
  const reposts = el('span', { 'data-testid': 'reposts' });
  const { mine } = shelf;
  const toggle = (what: What, sign: string, count: HTMLElement, act: (on: boolean) => Promise<unknown>) => {
    const node = button([el('span', { 'aria-hidden': 'true', class: 'sign' }, sign), count], { class: `act ${what}`, 'aria-pressed': String(mine.has(what, on)), 'data-testid': what }, async () => {
      if (!mine.me) return signIn();
      const pressed = node.getAttribute('aria-pressed') !== 'true';
      await act(pressed);
      mine.set(what, on, pressed);
      node.setAttribute('aria-pressed', String(pressed));
    }, wrong);
    return node;
  };
  const heart = toggle('like', '♥', likes, async (pressed) => show(await like(on, pressed)));
  const again = toggle('repost', '⟳', reposts, (pressed) => repost(on, pressed));
  const answer = shelf.reply
    ? button([el('span', { 'aria-hidden': 'true', class: 'sign' }, '↩'), replies], { class: 'act', 'data-testid': 'reply' }, () => (mine.me ? shelf.reply?.(post, root) : signIn()))
    : el('a', { class: 'act', href: `/feed/posts/${on}`, 'data-testid': 'reply' }, el('span', { 'aria-hidden': 'true', class: 'sign' }, '↩'), replies);
  const show = (to: Counts) => {
    Object.assign(now, to);
    say(likes, String(now.likes));
    say(replies, String(now.replies));
    say(reposts, String(now.reposts));
    heart.setAttribute('aria-label', `Like, ${counted(now.likes, 'like')}`);
    again.setAttribute('aria-label', `Repost, ${counted(now.reposts, 'repost')}`);
    answer.setAttribute('aria-label', `Reply, ${counted(now.replies, 'reply', 'replies')}`);
  };
  show(post);
  // What cannot be read just now stays as it was: its counts are pushed still.
  const look = () => void read(on).then(show, (error: unknown) => isGone(error) && leave());
  const hear = ({ data }: Frame) => {
    if (!data) return leave();
    const was = now.replies;
    show(data as unknown as Counts);
    if (now.replies !== was) shelf.replied?.(post);
  };
  if (on !== post.id) look();
  const [made, tag] = [Date.now(), `post:${on}`];
  let heard = false;
  whileSeen(root, shelf.until, () => {
    // What comes into sight late, and is of no known version, may be old.
    if (!heard && Date.now() - made > FRESH && shownAt(tag) === undefined) look();
    heard = true;
    const counts = live.listen(tag, { hear, missed: look });
    // A repost is taken back, too.
    const taken = on === post.id ? null : live.listen(`post:${post.id}`, { hear: ({ data }) => !data && leave() });
    return () => {
      counts();
      taken?.();
    };
  });
  const own = mine.me?.handle === post.author;
  const drop: HTMLButtonElement = button('Delete', { class: 'act push', 'data-testid': 'delete-post' }, async () => {
    if (!drop.dataset.sure) {
      drop.dataset.sure = 'yes';
      return say(drop, 'Delete for good?');
    }
    await remove(post.id);
    leave();
  }, wrong);
  return el('div', { class: 'post-foot' }, answer, post.kind !== 'repost' && again, heart, wrong, own && drop);
}

/** A film of the library, as a picture that leads to it. */
function film(id: string): HTMLElement {
  const place = el('a', { class: 'post-film', href: `/watch/${id}`, 'aria-label': 'Watch the video', 'data-testid': 'post-film' }, el('span', { class: 'play', 'aria-hidden': 'true' }, '▶'));
  void get(id).then((video) => {
    place.setAttribute('aria-label', `Watch ${video.title}`);
    place.append(el('span', { class: 'film-title' }, video.title));
    if (video.urls.poster && video.visibility !== 'private') place.prepend(el('img', { src: video.urls.poster, alt: '', loading: 'lazy' }));
    // Without its title it leads to the video all the same.
  }, (error: unknown) => isGone(error) && place.replaceWith(el('p', { class: 'dim' }, 'The video is there no longer.')));
  return place;
}

/** What is reposted, within the post that does. */
function quoted(path: string): HTMLElement {
  const place = el('div', { class: 'quoted', 'data-testid': 'quoted' }, el('p', { class: 'dim' }, '…'));
  const load = (): Promise<void> => fragment(path).then(
    (post) => place.replaceChildren(
      el('p', { class: 'post-head' }, face(post.author), el('a', { href: `/feed/users/${post.author}`, class: 'post-author' }, post.author), el('a', { class: 'dim', href: `/feed/posts/${post.id}` }, ago(post.at_ms, Date.now()))),
      el('p', { class: 'post-text' }, post.text ?? ''),
      ...[album(post.photos ?? [])].filter((one) => one !== null),
      ...(post.video ? [film(post.video)] : []),
    ),
    (error: unknown) => place.replaceChildren(isGone(error) ? el('p', { class: 'dim' }, 'What was reposted is gone.') : el('p', { class: 'dim' }, 'What was reposted cannot be shown now. ', button('Try again', { class: 'quiet' }, load))),
  );
  void load();
  return place;
}
