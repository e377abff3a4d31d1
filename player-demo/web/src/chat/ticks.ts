// How far a message of one's own has come. Pure.
import { hasReceipts, type Room } from './api';
import type { Tick } from './line';

export interface Far {
  tick: Tick;
  /** In words. */
  words: string;
}

/** What the others have, for a message at a place. */
export function far(room: Pick<Room, 'kind'>, seq: number, others: { delivered: number; read: number }[]): Far {
  if (!hasReceipts(room) || others.length === 0) return { tick: 'sent', words: '' };
  const have = (of: 'delivered' | 'read') => others.filter((one) => one[of] >= seq).length;
  const [read, delivered, all] = [have('read'), have('delivered'), others.length];
  const tick = read === all ? 'read' : delivered === all ? 'delivered' : 'sent';
  return { tick, words: all > 1 && read > 0 ? `read by ${read} of ${all}` : '' };
}
