// Tickets to waiting rooms, kept for this tab: a page that is loaded anew has its place in line still.

/** Where they are kept. */
export type Shelf = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** A place in a room's line, and the admission that came of it. */
export interface Place {
  ticket: string;
  admission?: string;
}

/** What is waited for: on which page, of what, and the key under which it is one order. */
export interface Wish {
  at: string;
  of: string;
  key: string;
}

interface Kept {
  places: Record<string, Place>;
  wish?: Wish;
}

const NAME = 'sluice-line';

export class Tickets {
  private kept: Kept;

  constructor(private readonly shelf: Shelf) {
    this.kept = read(shelf);
  }

  all(): [string, Place][] {
    return Object.entries(this.kept.places);
  }

  has(room: string): boolean {
    return Object.hasOwn(this.kept.places, room);
  }

  put(room: string, place: Place): void {
    this.kept.places[room] = place;
    this.save();
  }

  drop(room: string): void {
    delete this.kept.places[room];
    this.save();
  }

  /** What an order brings with it. */
  admissions(): string[] {
    return this.all().flatMap(([, { admission }]) => admission ?? []);
  }

  /** What is waited for, until it is there or given up. */
  wish(wish?: Wish): void {
    if (wish === undefined && this.kept.wish === undefined) return;
    this.kept.wish = wish;
    this.save();
  }

  /** The key of what was waited for here when the page was left. */
  wished(at: string, of: string): string | undefined {
    const { wish } = this.kept;
    return wish?.at === at && wish.of === of ? wish.key : undefined;
  }

  /** Out of every line. */
  clear(): void {
    this.kept = { places: {} };
    this.save();
  }

  private save(): void {
    if (Object.keys(this.kept.places).length === 0 && !this.kept.wish) this.shelf.removeItem(NAME);
    else this.shelf.setItem(NAME, JSON.stringify(this.kept));
  }
}

function read(shelf: Shelf): Kept {
  try {
    const kept = JSON.parse(shelf.getItem(NAME) ?? '') as Partial<Kept> | null;
    return { places: kept?.places ?? {}, wish: kept?.wish };
  } catch {
    return { places: {} };
  }
}
