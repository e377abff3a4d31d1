// The interface of the feed (docs/feed.md), as the pages use it.
import { isGone } from '../gone';
import { ask } from '../session';

export interface Photo {
  path: string;
  blur?: string;
  alt?: string;
}

export interface Post {
  id: string;
  author: string;
  kind: 'post' | 'reply' | 'repost';
  at_ms: number;
  text?: string;
  photos?: Photo[];
  video?: string;
  reply_to?: string;
  /** Where the fragment of what it reposts is. */
  repost_of?: string;
  likes: number;
  replies: number;
  reposts: number;
}

export type Counts = Pick<Post, 'likes' | 'replies' | 'reposts'>;

export interface Item {
  f: string;
  /** What the edge has put in; null where it could not be had. */
  c?: Post | null;
  /** `own` where the reader wrote it. */
  w?: string;
  /** What the reader did with what it shows: `l` for a like, `r` for a repost. */
  m?: string;
}

export interface HomePage {
  items: Item[];
  next?: string | null;
  seen?: string | null;
}

export interface Person {
  handle: string;
  followers: number;
  following: number;
  posts: number;
}

export interface Thread {
  root: string;
  items: { f: string; p: string }[];
  next?: string | null;
}

export interface NewPost {
  text: string;
  photos?: Photo[];
  video?: string;
  reply_to?: string;
}

export type Order = 'ranked' | 'latest';

/** Posts of a page. */
export const PAGE = 24;

const posts = (id: string) => `/v1/feed/posts/${encodeURIComponent(id)}`;
const user = (handle: string) => `/v1/feed/users/${encodeURIComponent(handle)}`;
const more = (after: string | null | undefined) => (after ? `&after=${after}` : '');

export const home = (order: Order, after?: string | null): Promise<HomePage> => ask(`/v1/feed/home?limit=${PAGE}&order=${order}${more(after)}`);
/** What one did with posts; those one did nothing with are not there. */
export const marks = (ids: string[]): Promise<{ marks: Record<string, string> }> => ask(`/v1/feed/marks?ids=${ids.join(',')}`);
export const seen = (id: string): Promise<unknown> => ask('/v1/feed/home/seen', { method: 'PUT', body: { seen: id } });
export const token = async (): Promise<string> => (await ask<{ token: string }>('/v1/feed/token', { method: 'POST' })).token;

export const fragment = (path: string): Promise<Post> => ask(path);
export const post = (id: string): Promise<Post> => ask(posts(id));
export const thread = (id: string, after?: string | null): Promise<Thread> => ask(`${posts(id)}/thread?limit=100${more(after)}`);
export const person = (handle: string): Promise<Person> => ask(user(handle));
export const postsOf = (handle: string, after?: string | null): Promise<{ items: { f: string }[]; next?: string | null }> => ask(`${user(handle)}/posts?limit=${PAGE}${more(after)}`);

export const create = (what: NewPost, key: string): Promise<{ id: string; fragment: string }> => ask('/v1/feed/posts', { method: 'POST', body: what, key });
export const remove = (id: string): Promise<unknown> => ask(posts(id), { method: 'DELETE' });
export const like = (id: string, on: boolean): Promise<Counts> => ask(`${posts(id)}/like`, { method: on ? 'PUT' : 'DELETE' });
export const repost = (id: string, on: boolean): Promise<unknown> => ask(`${posts(id)}/repost`, { method: on ? 'PUT' : 'DELETE' });
export const follows = async (handle: string): Promise<boolean> => (await ask<{ following: boolean }>(`${user(handle)}/follow`)).following;
export const follow = (handle: string, on: boolean): Promise<unknown> => ask(`${user(handle)}/follow`, { method: on ? 'PUT' : 'DELETE' });

/** Sends a picture as it is; where it is from then on. */
export const upload = (file: Blob): Promise<{ path: string; width: number; height: number; blur: string }> => ask('/v1/feed/photos', { method: 'POST', body: file });

/** The post that is liked and counted where a post is shown: of a repost, what it shows. */
export const shows = ({ id, repost_of }: Post): string => repost_of?.split('/').at(-1) ?? id;

/** A post, or null where it is gone; what cannot be had just now is an error. */
const unlessGone = (f: string): Promise<Post | null> => fragment(f).catch((error: unknown) => {
  if (isGone(error)) return null;
  throw error;
});

/** The fragments of a list, in its order, without what is gone. */
export async function fragments(items: { f: string }[]): Promise<Post[]> {
  const all = await Promise.all(items.map(({ f }) => unlessGone(f)));
  return all.filter((one) => one !== null);
}

/** A home page with what the edge could not put in. */
export async function filled(items: Item[]): Promise<Item[]> {
  return Promise.all(items.map(async (item) => (item.c ? item : { ...item, c: await unlessGone(item.f) })));
}
