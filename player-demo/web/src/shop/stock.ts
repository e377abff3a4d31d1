// How many there are, as it is now: pushed to whoever looks.
import { el, say } from '../dom';
import { live } from '../live';
import { stock } from './api';

/** Units of which there are few. */
const FEW = 5;

/** Tells how many of a variant can be ordered, now and with every change. */
export function watchStock(variant: string, until: AbortSignal, tell: (available: number) => void): void {
  const look = () => stock(variant).then(tell, () => undefined);
  void look().then(() => live.listen(`stock:${variant}`, { until, hear: ({ data }) => void (data ? tell(Number(data.available)) : look()), missed: look }));
}

/** A word for how many there are, which changes with them. */
export function stockWord(): { root: HTMLElement; show: (available: number) => void } {
  const root = el('span', { class: 'stock', 'data-testid': 'stock', role: 'status' });
  const show = (available: number) => {
    say(root, inWords(available));
    root.className = `stock ${available === 0 ? 'none' : available <= FEW ? 'few' : ''}`;
  };
  return { root, show };
}

export function inWords(available: number): string {
  return available === 0 ? 'Sold out' : available <= FEW ? `Only ${available} left` : `${available} in stock`;
}
