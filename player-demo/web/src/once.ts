// What is sent again after a cut is done once: it goes under the key that it went under before.
import { isNo } from './session';
import { unique } from './unique';

/** Sends something under a key that stays the same for the same, until that is decided. */
export function once(): <W, T>(what: W, send: (what: W, key: string) => Promise<T>) => Promise<T> {
  let [key, sent] = ['', ''];
  return async (what, send) => {
    const written = JSON.stringify(what);
    if (written !== sent) [key, sent] = [unique(), written];
    try {
      const made = await send(what, key);
      sent = '';
      return made;
    } catch (error) {
      if (isNo(error)) sent = '';
      throw error;
    }
  };
}
