// How long one waits before the next try. Pure.

/** Milliseconds before a try: the first pause, doubled with each try that failed, up to the longest. */
export const backOff = (failed: number, [first, longest]: readonly [number, number]): number => Math.min(longest, first * 2 ** Math.min(failed, 20));

/** Milliseconds after which a failure has nothing to do with the one before. */
const APART = 60_000;
/** Milliseconds before the first try and at most, and how many there are of each kind of failure. */
const PAUSE = [1000, 8000] as const;
const TRIES = { network: 8, media: 3 } as const;

/** How often a player that fails is helped before that is said. */
export class Patience {
  private failed = { network: 0, media: 0 };
  private last = -Infinity;

  /** What to do about a failure: milliseconds to wait before the next try; null once there were enough. */
  next(kind: keyof typeof TRIES, now: number): number | null {
    if (now - this.last > APART) this.failed = { network: 0, media: 0 };
    this.last = now;
    if (this.failed[kind] >= TRIES[kind]) return null;
    this.failed[kind] += 1;
    return kind === 'media' ? 0 : backOff(this.failed[kind] - 1, PAUSE);
  }

  /** Somebody asked for it to be tried again. */
  anew(): void {
    this.last = -Infinity;
  }
}
