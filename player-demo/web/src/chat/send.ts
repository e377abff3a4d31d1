// Messages on their way: each is sent until it is acknowledged, and is one message however often that is.
import { Refused } from '../session';
import { send, type Message } from './api';

/** Milliseconds before the second try, and at most; tries of one message. */
const PAUSE = [500, 8000] as const;
const TRIES = 40;

/** Sends; a refusal that another try would meet too is thrown. */
export async function deliver(room: string, client: string, text: string): Promise<Message & { seq: number }> {
  let pause: number = PAUSE[0];
  for (let n = 1; ; n += 1) {
    try {
      return await send(room, client, text);
    } catch (error) {
      const final = error instanceof Refused && error.status < 500 && error.status !== 429 && error.status !== 409;
      if (final || n >= TRIES) throw error;
      await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random())));
      pause = Math.min(PAUSE[1], pause * 2);
    }
  }
}
