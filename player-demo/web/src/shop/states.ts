// What an order's state means to whoever bought. Pure.

/** How a state is to be taken: it goes on, it is done, it ended without a sale. */
export type Mood = 'waits' | 'good' | 'bad';

const WORDS: Record<string, [string, Mood, string]> = {
  reserved: ['To be paid', 'waits', 'The goods are held for you.'],
  paying: ['Paying', 'waits', 'The payment is under way.'],
  paid: ['Paid', 'good', 'The payment is in.'],
  confirmed: ['Confirmed', 'good', 'Paid and confirmed. Thank you.'],
  failed: ['Declined', 'bad', 'The payment was declined. Nothing was taken.'],
  released: ['Not bought', 'bad', 'It was not paid: the goods went back. Nothing was taken.'],
  refunding: ['Being refunded', 'bad', 'The goods were gone when the payment came: it is being given back.'],
  refunded: ['Refunded', 'bad', 'The payment was given back.'],
};

export interface InWords {
  word: string;
  mood: Mood;
  more: string;
}

export function stateWords(state: string, declined = false): InWords {
  const [word, mood, more] = WORDS[declined && state === 'released' ? 'failed' : state] ?? [state, 'waits', ''];
  return { word, mood, more };
}

/** True while an order can still change by itself. */
export const moves = (state: string): boolean => !['confirmed', 'released', 'refunded'].includes(state);

/** How far it is on its way: 0 held, 1 being paid, 2 paid, 3 confirmed; -1 where it left the way. */
export function reached(state: string): number {
  const at = ['reserved', 'paying', 'paid', 'confirmed'].indexOf(state);
  return at;
}
