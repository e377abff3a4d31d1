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
  canceled: ['Canceled', 'bad', 'The order was canceled, and the goods went back.'],
};

/** What is to be said otherwise, by state and why there is no sale. */
const BECAUSE: Record<string, [string, Mood, string]> = {
  'released declined': WORDS.failed!,
  'canceled buyer': ['Canceled', 'bad', 'You canceled it. If anything was paid, it is given back.'],
  'canceled gateway': ['Canceled', 'bad', 'The payment could not be made. If anything was paid, it is given back.'],
  'refunding buyer': ['Being refunded', 'bad', 'You canceled it while it was being paid: the payment is being given back.'],
  'refunding gateway': ['Being refunded', 'bad', 'The payment came too late: it is being given back.'],
};

export interface InWords {
  word: string;
  mood: Mood;
  more: string;
}

export function stateWords(state: string, reason?: string): InWords {
  const [word, mood, more] = BECAUSE[`${state} ${reason}`] ?? WORDS[state] ?? [state, 'waits', ''];
  return { word, mood, more };
}

/** True while an order can still change by itself. */
export const moves = (state: string): boolean => !['confirmed', 'released', 'refunded', 'canceled'].includes(state);

/** How far it is on its way: 0 held, 1 being paid, 2 paid, 3 confirmed; -1 where it left the way. */
export function reached(state: string): number {
  const at = ['reserved', 'paying', 'paid', 'confirmed'].indexOf(state);
  return at;
}
