// What this account likes, reposts and follows, as far as this browser knows: fragments are everybody's and do not say it.
import type { Me } from '../session';

export type What = 'like' | 'repost' | 'follow';

/** Names remembered of each. */
const MOST = 2000;

export class Mine {
  private readonly sets: Record<What, Set<string>>;

  constructor(readonly me: Me | null) {
    const read = (what: What): Set<string> => {
      try {
        return new Set(JSON.parse((me && localStorage.getItem(this.key(what))) ?? '[]') as string[]);
      } catch {
        return new Set();
      }
    };
    this.sets = { like: read('like'), repost: read('repost'), follow: read('follow') };
  }

  has(what: What, name: string): boolean {
    return this.sets[what].has(name);
  }

  set(what: What, name: string, on: boolean): void {
    const of = this.sets[what];
    if (!this.me || of.has(name) === on) return;
    if (on) of.add(name);
    else of.delete(name);
    for (const oldest of of) {
      if (of.size <= MOST) break;
      of.delete(oldest);
    }
    try {
      localStorage.setItem(this.key(what), JSON.stringify([...of]));
    } catch {
      // Without room it is known until the page is left.
    }
  }

  private key(what: What): string {
    return `sluice-${what}-${this.me?.account ?? ''}`;
  }
}
