// The basket: kept by the shop, under the account's name or under one that this browser remembers until somebody signs in.
import { isGone } from '../gone';
import { ask, me } from '../session';
import type { Line } from './api';

/** Units of a line at most, as the shop has it. */
export const MOST = 1000;

const NAME = 'sluice-basket';

type Tell = (lines: Line[]) => void;
type Change = (lines: Line[]) => Line[];

const units = (lines: Line[], variant: string): number => lines.find((line) => line.variant === variant)?.quantity ?? 0;

/** Lines with so many of a variant; none of it is no line. Pure. */
export function put(lines: Line[], variant: string, quantity: number): Line[] {
  const kept = Math.max(0, Math.min(MOST, Math.trunc(quantity) || 0));
  const known = lines.some((line) => line.variant === variant);
  const next = known ? lines.map((line) => (line.variant === variant ? { variant, quantity: kept } : line)) : [...lines, { variant, quantity: kept }];
  return next.filter((line) => line.quantity > 0);
}

/** What is in either; of what is in both the larger quantity, so that it is the same when it is done again. Pure. */
export const merged = (kept: Line[], strange: Line[]): Line[] =>
  strange.reduce((all, { variant, quantity }) => put(all, variant, Math.max(quantity, units(all, variant))), kept);

const same = (one: Line[], other: Line[]): boolean => one.length === other.length && one.every(({ variant, quantity }) => units(other, variant) === quantity);

export class Basket {
  lines: Line[] = [];
  /** What the shop was last heard to have, and what is on its way there. */
  private kept: Line[] = [];
  private readonly changes: Change[] = [];
  private name: string | null = null;
  private opening: Promise<void> | null = null;
  private saving: Promise<unknown> = Promise.resolve();
  private readonly watchers = new Set<Tell>();

  /** Reads what is in it, once. */
  open(): Promise<void> {
    this.opening ??= this.read().catch((error: unknown) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }

  /** Tells what is in it, now and whenever that changes. */
  watch(tell: Tell, until: AbortSignal): void {
    this.watchers.add(tell);
    until.addEventListener('abort', () => this.watchers.delete(tell), { once: true });
    tell(this.lines);
  }

  count(): number {
    return this.lines.reduce((sum, { quantity }) => sum + quantity, 0);
  }

  /** Puts units in, or takes them out. */
  add(variant: string, quantity: number): Promise<void> {
    return this.change((lines) => put(lines, variant, units(lines, variant) + quantity));
  }

  set(variant: string, quantity: number): Promise<void> {
    return this.change((lines) => put(lines, variant, quantity));
  }

  /** The shop has made an order of these. */
  ordered(these: Line[]): Promise<void> {
    return this.change((lines) => these.reduce((left, { variant, quantity }) => put(left, variant, units(left, variant) - quantity), lines));
  }

  /** Shows a change at once, and takes it back where it cannot be kept. One is written after the other. */
  private async change(to: Change): Promise<void> {
    await this.open();
    this.changes.push(to);
    this.tell();
    const written = this.saving.catch(() => undefined).then(() => this.write(to)).finally(() => {
      this.changes.splice(this.changes.indexOf(to), 1);
      this.tell();
    });
    this.saving = written;
    await written;
  }

  /** What another tab or device has put in meanwhile stays. */
  private async write(to: Change): Promise<void> {
    await this.keep(to(this.name ? await of(this.name) : []));
  }

  private async keep(lines: Line[]): Promise<void> {
    this.name ??= await begun();
    await ask(`/v1/shop/carts/${this.name}`, { method: 'PUT', body: { lines } });
    this.kept = lines;
  }

  private tell(): void {
    const lines = this.changes.reduce((all, change) => change(all), this.kept);
    if (same(lines, this.lines)) return;
    this.lines = lines;
    for (const tell of this.watchers) tell(lines);
  }

  private async read(): Promise<void> {
    const mine = await me();
    const own = localStorage.getItem(NAME);
    const strange = own ? await of(own) : [];
    this.name = mine ? 'mine' : own;
    this.kept = mine ? await of('mine') : strange;
    if (mine && own) {
      // What was put in before signing in comes along, once; until the shop has it, it is not forgotten.
      if (strange.length > 0) await this.keep(merged(this.kept, strange));
      localStorage.removeItem(NAME);
    }
    this.tell();
  }
}

/** What is in a cart; of one that is gone, nothing. Trouble is not an empty cart. */
const of = (name: string): Promise<Line[]> =>
  ask<{ lines: Line[] }>(`/v1/shop/carts/${name}`).then(({ lines }) => lines, (error: unknown) => {
    if (isGone(error)) return [];
    throw error;
  });

async function begun(): Promise<string> {
  const { cart } = await ask<{ cart: string }>('/v1/shop/carts', { method: 'POST' });
  localStorage.setItem(NAME, cart);
  return cart;
}

export const basket = new Basket();
