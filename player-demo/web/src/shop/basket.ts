// The basket: kept by the shop, under the account's name or under one that this browser remembers until somebody signs in.
import { ask, me, type Me } from '../session';
import type { Line } from './api';

/** Units of a line at most, as the shop has it. */
export const MOST = 1000;

const NAME = 'sluice-basket';

type Tell = (lines: Line[]) => void;

/** One sum for each variant; without what there are none of. Pure. */
export function merged(...all: Line[][]): Line[] {
  const sums = new Map<string, number>();
  for (const { variant, quantity } of all.flat()) sums.set(variant, Math.min(MOST, (sums.get(variant) ?? 0) + quantity));
  return [...sums].filter(([, quantity]) => quantity > 0).map(([variant, quantity]) => ({ variant, quantity }));
}

class Basket {
  lines: Line[] = [];
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
  async add(variant: string, quantity: number): Promise<void> {
    await this.open();
    const has = this.lines.find((line) => line.variant === variant)?.quantity ?? 0;
    await this.set(variant, has + quantity);
  }

  async set(variant: string, quantity: number): Promise<void> {
    await this.open();
    const kept = Math.max(0, Math.min(MOST, Math.trunc(quantity) || 0));
    const known = this.lines.some((line) => line.variant === variant);
    const next = this.lines.map((line) => (line.variant === variant ? { variant, quantity: kept } : line)).filter((line) => line.quantity > 0);
    this.tell(known || kept === 0 ? next : [...next, { variant, quantity: kept }]);
    await this.save();
  }

  /** The shop has made an order of it. */
  async emptied(): Promise<void> {
    this.tell([]);
    await this.save();
  }

  private tell(lines: Line[]): void {
    this.lines = lines;
    for (const tell of this.watchers) tell(lines);
  }

  /** One write after the other; the last says what is in it. */
  private save(): Promise<unknown> {
    this.saving = this.saving.catch(() => undefined).then(async () => {
      this.name ??= await begun();
      await ask(`/v1/shop/carts/${this.name}`, { method: 'PUT', body: { lines: this.lines } });
    });
    return this.saving;
  }

  private async read(): Promise<void> {
    const mine: Me | null = await me().catch(() => null);
    const own = localStorage.getItem(NAME);
    const strange = own ? await of(own).catch(() => []) : [];
    if (!mine) {
      this.name = own;
      this.tell(strange);
      return;
    }
    this.name = 'mine';
    const kept = await of('mine');
    this.tell(merged(kept, strange));
    // What was put in before signing in comes along, once.
    if (strange.length > 0) await this.save();
    localStorage.removeItem(NAME);
  }
}

const of = async (name: string): Promise<Line[]> => (await ask<{ lines: Line[] }>(`/v1/shop/carts/${name}`)).lines;

async function begun(): Promise<string> {
  const { cart } = await ask<{ cart: string }>('/v1/shop/carts', { method: 'POST' });
  localStorage.setItem(NAME, cart);
  return cart;
}

export const basket = new Basket();
