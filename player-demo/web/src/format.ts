// Numbers as people read them. Pure.

function scaled(value: number, units: string[], step: number): string {
  let at = 0;
  while (value >= step && at + 1 < units.length) {
    value /= step;
    at += 1;
  }
  const digits = at === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[at]}`;
}

export const bytes = (count: number): string => scaled(count, ['B', 'kB', 'MB', 'GB', 'TB'], 1000);

/** Bits a second. */
export const rate = (bits: number): string => scaled(bits, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'], 1000);

export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** How long the rest takes at a speed (bytes a second). */
export function eta(done: number, total: number, speed: number): string {
  if (speed <= 0 || total <= done) return '';
  const seconds = (total - done) / speed;
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.ceil(seconds / 60)} min left`;
}

export function ago(ms: number, now: number): string {
  const minutes = Math.floor((now - ms) / 60000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ago` : new Date(ms).toLocaleDateString();
}

/** A day as people name it, in their own time. */
export function day(ms: number, now: number): string {
  const [then, today] = [new Date(ms), new Date(now)];
  const days = Math.round((new Date(today).setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return then.toLocaleDateString('en', { day: 'numeric', month: 'long', ...(then.getFullYear() === today.getFullYear() ? {} : { year: 'numeric' }) });
}

/** Hours and minutes. */
export const hour = (ms: number): string => new Date(ms).toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** A count with its noun. */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

/** A colour of a name's own, in degrees. */
export const hue = (name: string): number => [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
