// What this account likes and reposts, as the feed says it: fragments are everybody's and do not. It is known until the page is left.
import type { Me } from '../session';
import { marks, shows, type Item, type Post } from './api';

export type What = 'like' | 'repost';

/** Posts that are asked for at once. */
const MOST = 100;

export class Mine {
  private readonly sets: Record<What, Set<string>> = { like: new Set(), repost: new Set() };

  constructor(readonly me: Me | null) {}

  has(what: What, post: string): boolean {
    return this.sets[what].has(post);
  }

  set(what: What, post: string, on: boolean): void {
    if (on) this.sets[what].add(post);
    else this.sets[what].delete(post);
  }

  /** Takes what a home page says beside its posts. */
  told(items: Item[]): void {
    for (const { c, m } of items) if (c) this.mark(shows(c), m);
  }

  /** Asks about posts of a list that is everybody's. What cannot be had is not shown, and can be pressed still. */
  async ask(posts: Post[]): Promise<void> {
    if (!this.me) return;
    const ids = [...new Set(posts.map(shows))];
    for (let at = 0; at < ids.length; at += MOST) {
      const some = ids.slice(at, at + MOST);
      const told = await marks(some).catch(() => null);
      if (told) for (const id of some) this.mark(id, told.marks[id]);
    }
  }

  private mark(post: string, letters = ''): void {
    this.set('like', post, letters.includes('l'));
    this.set('repost', post, letters.includes('r'));
  }
}
