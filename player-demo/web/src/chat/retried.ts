// A picture or a film that could not be had is asked for again where that may help.
import { live } from '../live';
import { fresh } from '../session';

/** Milliseconds after a try in which another failure is of the same: a file that is broken fails wherever it is read on. */
const SAME = 10_000;

/** The token of whoever looks may have run out: what failed is asked for once more with one that is good, and, where it failed for want of
 * a connection, when there is one. Then there is `instead`. */
export function retried(node: HTMLImageElement | HTMLMediaElement, at: string, instead: () => void): void {
  const again = media(node) ? resumed(node, at) : () => (node.src = at);
  let [failed, tried] = [0, -Infinity];
  const once = async (connected?: Promise<void>) => {
    if (connected) {
      await connected;
      // What was left meanwhile is nobody's.
      if (!node.isConnected) return;
    }
    await fresh();
    tried = performance.now();
    again();
  };
  for (const name of ['load', 'loadeddata']) node.addEventListener(name, () => (failed = 0));
  node.addEventListener('error', () => {
    failed = failed === 0 && performance.now() - tried < SAME ? 2 : failed + 1;
    const connected = failed === 2 ? reopened() : null;
    if (failed === 1) void once();
    else if (connected) void once(connected);
    else instead();
  });
}

const media = (node: HTMLElement): node is HTMLMediaElement => node instanceof HTMLMediaElement;

/** Sets the source of a film, or of sound, once more: it goes on from where it was. */
function resumed(node: HTMLMediaElement, at: string): () => void {
  let was = { at: 0, paused: true };
  node.addEventListener('error', () => {
    // Another failure on the way back is at its beginning.
    if (node.currentTime > 0) was = { at: node.currentTime, paused: node.paused };
  });
  node.addEventListener('loadedmetadata', () => {
    if (was.at === 0) return;
    node.currentTime = was.at;
    if (!was.paused) void node.play().catch(() => undefined);
    was = { at: 0, paused: true };
  });
  return () => (node.src = at);
}

/** Until the live connection, which is lost, is open again; null where it is not lost. */
function reopened(): Promise<void> | null {
  const ends = new AbortController();
  let lost = false;
  const opened = new Promise<void>((done) => {
    live.watch((link) => {
      lost = link === 'lost';
      if (link !== 'open') return;
      done();
      ends.abort();
    }, ends.signal);
  });
  if (!lost) ends.abort();
  return lost ? opened : null;
}
