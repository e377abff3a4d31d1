// Parcels of an order, in words, and as they are heard of. Pure.
import type { Mood } from './states';

/** Where a parcel is: `packed`, `handed-over`, `in-transit`, `delivered` or `returned`. */
export interface ParcelMove {
  state: string;
  at_ms: number;
}

export interface Parcel {
  id: string;
  state: string;
  carrier: string;
  /** What its carrier knows it by. */
  code: string;
  lines: { variant: string; quantity: number }[];
  /** The states that it came to, the oldest first. */
  moves: ParcelMove[];
}

/** The way of a parcel that does not come back. */
export const WAY = ['packed', 'handed-over', 'in-transit', 'delivered'] as const;

const WORDS: Record<string, [string, Mood]> = {
  packed: ['Packed', 'waits'],
  'handed-over': ['With the carrier', 'waits'],
  'in-transit': ['On its way', 'waits'],
  delivered: ['Delivered', 'good'],
  returned: ['Came back', 'bad'],
};

export function parcelWords(state: string): { word: string; mood: Mood } {
  const [word, mood] = WORDS[state] ?? [state, 'waits'];
  return { word, mood };
}

/** Parcels with one as it was heard of: each move makes the list of its moves longer, so that what is replayed takes nothing back. */
export function heard(parcels: Parcel[], one: Parcel): Parcel[] {
  const known = parcels.find(({ id }) => id === one.id);
  if (!known) return [...parcels, one];
  return one.moves.length > known.moves.length ? parcels.map((parcel) => (parcel === known ? one : parcel)) : parcels;
}

/** Parcels as they were read, and those that were heard of while they were. */
export const newest = (read: Parcel[], known: Parcel[]): Parcel[] => known.reduce(heard, read);

/** Those that have moved since they were known otherwise, or not at all. */
export const moved = (now: Parcel[], known: Parcel[]): Parcel[] => now.filter((one) => known.find(({ id }) => id === one.id)?.moves.length !== one.moves.length);

/** True for what a frame tells of a parcel. */
export const isParcel = (said: unknown): said is Parcel => typeof said === 'object' && said !== null && 'id' in said && Array.isArray((said as Partial<Parcel>).moves);
