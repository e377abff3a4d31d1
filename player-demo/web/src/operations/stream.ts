// The live stream: server-sent events over fetch, which can bear a token where EventSource cannot.
import { Refused, send } from './session';

/** Between two tries, in milliseconds: doubled with each that fails. */
const [FIRST, MOST] = [500, 8000];
/** Silence after which a stream counts as cut: frames come once a second. */
const SILENCE = 10_000;

export interface Listener {
  event(name: string, data: unknown): void;
  /** Whether it is followed now. */
  live(on: boolean): void;
  refused(why: Refused): void;
}

/** Follows a stream and takes it up anew when it ends; gives what ends that. */
export function follow(path: string, to: Listener): () => void {
  let ended = false;
  let cut = new AbortController();
  let pause = FIRST;
  const go = async () => {
    while (!ended) {
      cut = new AbortController();
      try {
        await read(path, cut, (name, data) => {
          pause = FIRST;
          to.live(true);
          to.event(name, data);
        });
      } catch (error) {
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) return to.refused(error);
      }
      if (ended) return;
      to.live(false);
      await new Promise((next) => setTimeout(next, pause));
      pause = Math.min(pause * 2, MOST);
    }
  };
  void go();
  return () => {
    ended = true;
    cut.abort();
  };
}

async function read(path: string, cut: AbortController, event: Listener['event']): Promise<void> {
  const answer = await send(path, { signal: cut.signal, headers: { accept: 'text/event-stream' } });
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const timer = setTimeout(() => cut.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    text += value;
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const one of events) tell(one, event);
  }
}

function tell(text: string, event: Listener['event']): void {
  let name = 'message';
  let data = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7);
    if (line.startsWith('data: ')) data += line.slice(6);
  }
  if (data) event(name, JSON.parse(data));
}
