// The feed: a home page whose posts the edge has put in, and counts that are pushed.
import { el, say } from './dom';
import { ago } from './format';
import { live } from './live';
import { face } from './nav';
import { ask, me, type Me } from './session';
import { invitation } from './sign-in';

interface Post {
  id: string;
  author: string;
  kind: 'post' | 'reply' | 'repost';
  at_ms: number;
  text?: string;
  photos?: { path: string; alt?: string }[];
  video?: string;
  repost_of?: string;
  likes: number;
  replies: number;
  reposts: number;
}

interface Item {
  f: string;
  /** What the edge has put in; null where it could not be had. */
  c?: Post | null;
}

interface HomePage {
  items: Item[];
  next?: string | null;
}

/** Posts of a page. */
const PAGE = 24;

export async function feed(main: HTMLElement): Promise<void> {
  document.title = 'Feed · Sluice';
  const mine = await me().catch(() => null);
  if (!mine) {
    main.append(el('div', { class: 'column' }, el('h1', {}, 'Feed'), invitation('Sign in to follow people, post and like.')));
    return;
  }
  const list = el('div', { class: 'column', role: 'feed', 'aria-label': 'Home', 'data-testid': 'home' });
  const fresh = el('button', { type: 'button', class: 'fresh', hidden: true }, 'New posts');
  const more = el('button', { type: 'button', class: 'more quiet', hidden: true }, 'Show more');
  const none = el('p', { class: 'empty-note', hidden: true }, 'Nothing here yet. Write something, or follow somebody by their handle.');
  main.append(el('div', { class: 'column' }, el('h1', {}, 'Feed'), composer((post) => {
      none.hidden = true;
      list.prepend(card(post));
    }), follow(() => void load(true)), fresh, none), list, more);

  let next: string | null | undefined = null;
  const load = async (anew: boolean) => {
    const after = anew || !next ? '' : `&after=${next}`;
    const page = await ask<HomePage>(`/v1/feed/home?limit=${PAGE}${after}`);
    if (anew) list.replaceChildren();
    next = page.next;
    for (const { c } of page.items) if (c) list.append(card(c));
    none.hidden = list.childElementCount > 0;
    more.hidden = !next;
    fresh.hidden = true;
  };
  more.addEventListener('click', () => void load(false));
  fresh.addEventListener('click', () => void load(true));
  await load(true);
  badge(mine, fresh);
}

/** Says that there is something new, when the origin says so. */
function badge(mine: Me, fresh: HTMLElement): void {
  live.listen(`home:${mine.account}`, {
    token: async () => (await ask<{ token: string }>('/v1/feed/token', { method: 'POST' })).token,
    hear: ({ data }) => {
      if (data && 'new' in data) fresh.hidden = false;
    },
  });
}

function composer(done: (post: Post) => void): HTMLElement {
  const text = el('textarea', { rows: '2', maxlength: '500', required: true, placeholder: 'What is there to tell?', 'aria-label': 'Your post', 'data-testid': 'post-text' });
  const wrong = el('p', { class: 'why', role: 'alert' });
  const button = el('button', { type: 'submit', 'data-testid': 'post' }, 'Post');
  const form = el('form', { class: 'panel composer' }, text, el('div', { class: 'row' }, wrong, el('span', { class: 'push' }, button)));
  // The same text sent again after a cut is the same post.
  let key = crypto.randomUUID();
  text.addEventListener('input', () => (key = crypto.randomUUID()));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    say(wrong, '');
    ask<{ fragment: string }>('/v1/feed/posts', { method: 'POST', body: { text: text.value }, key })
      .then(({ fragment }) => ask<Post>(fragment))
      .then((post) => {
        text.value = '';
        done(post);
      })
      .catch((error: Error) => say(wrong, error.message))
      .finally(() => (button.disabled = false));
  });
  return form;
}

function follow(done: () => void): HTMLElement {
  const handle = el('input', { placeholder: 'A handle to follow', 'aria-label': 'A handle to follow', required: true, maxlength: '32', autocapitalize: 'none', spellcheck: 'false', 'data-testid': 'follow-handle' });
  const told = el('span', { class: 'dim', role: 'status' });
  const form = el('form', { class: 'row' }, el('span', { class: 'search' }, handle), el('button', { type: 'submit', class: 'quiet', 'data-testid': 'follow' }, 'Follow'), told);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const whom = handle.value.replace(/^@/, '');
    ask(`/v1/feed/users/${encodeURIComponent(whom)}/follow`, { method: 'PUT' }).then(
      () => {
        handle.value = '';
        say(told, `You follow ${whom}.`);
        done();
      },
      (error: Error) => say(told, error.message),
    );
  });
  return form;
}

/** A post that keeps its counts up to date. */
function card(post: Post): HTMLElement {
  const wrong = el('span', { class: 'why', role: 'alert' });
  const count = el('span', { 'data-testid': 'likes' });
  const heart = el('button', { type: 'button', 'aria-pressed': 'false', 'data-testid': 'like' }, el('span', { 'aria-hidden': 'true' }, '♥ '), count, el('span', { class: 'hidden' }, ' likes'));
  const answers = el('span', { class: 'dim number' });
  const show = ({ likes, replies }: Pick<Post, 'likes' | 'replies'>) => {
    say(count, String(likes));
    say(answers, replies === 1 ? '1 reply' : `${replies} replies`);
  };
  show(post);
  heart.addEventListener('click', () => {
    const on = heart.getAttribute('aria-pressed') === 'true';
    ask<{ likes: number; replies: number }>(`/v1/feed/posts/${post.id}/like`, { method: on ? 'DELETE' : 'PUT' }).then(
      (now) => {
        heart.setAttribute('aria-pressed', String(!on));
        show(now);
      },
      (error: Error) => say(wrong, error.message),
    );
  });
  const root = el(
    'article',
    { class: 'panel post', 'data-testid': 'feed-post', 'data-id': post.id },
    face(post.author),
    el('div', { class: 'row' }, el('strong', {}, post.author), el('span', { class: 'dim' }, ago(post.at_ms, Date.now()))),
    el('div', {}, post.text ? el('p', { class: 'post-text' }, post.text) : null, ...pictures(post)),
    el('div', { class: 'post-foot row' }, heart, answers, wrong),
  );
  live.listen(`post:${post.id}`, {
    hear: ({ data }) => (data ? show(data as unknown as Post) : root.remove()),
    missed: () => void ask<Post>(`/v1/feed/posts/${post.id}`).then(show, () => root.remove()),
  });
  return root;
}

function pictures({ photos = [], video, repost_of }: Post): HTMLElement[] {
  const all: HTMLElement[] = photos.map(({ path, alt }) => el('img', { class: 'post-photo', src: path, alt: alt ?? '', loading: 'lazy' }));
  if (video) all.push(el('a', { class: 'button', href: `/watch/${video}` }, 'Watch the video'));
  if (repost_of) {
    const place = el('div', { class: 'panel' });
    void ask<Post>(repost_of).then((post) => place.append(el('strong', {}, post.author), el('p', { class: 'post-text' }, post.text ?? '')), () => place.append('What was reposted is gone.'));
    all.push(place);
  }
  return all;
}
