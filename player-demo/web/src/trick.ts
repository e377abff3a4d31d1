// Fast forward and back, at speeds that no decoder keeps up with: the storyboard's pictures run, the film waits, and goes
// on where they were stopped.
import { el, say } from './dom';
import { clock } from './format';
import { tileAt, type Tile } from './storyboard';

/** How many times as fast, each after the one before. */
const SPEEDS = [2, 8, 32];

/** Two buttons for the control bar, and the picture that lies over the film. */
export function trick(player: HTMLVideoElement, all: Tile[]): { back: HTMLElement; forward: HTMLElement; over: HTMLElement } {
  const picture = el('div', { class: 'trick-picture' });
  const words = el('span', { class: 'trick-words', 'data-testid': 'trick-speed', role: 'status' });
  const over = el('div', { class: 'trick', hidden: true, 'data-testid': 'trick' }, picture, words);
  let speed = 0;
  let at = 0;
  let before = 0;
  let frame = 0;

  const draw = () => {
    const tile = tileAt(all, at);
    if (tile) {
      // The tile fills the place: the sheet behind it is as many times as large.
      const scale = Math.min(over.clientWidth / tile.width, over.clientHeight / tile.height) || 1;
      picture.style.width = `${tile.width}px`;
      picture.style.height = `${tile.height}px`;
      picture.style.transform = `scale(${scale})`;
      picture.style.background = `url("${tile.url}") -${tile.x}px -${tile.y}px`;
      over.dataset.tile = String(all.indexOf(tile));
    }
    say(words, `${speed < 0 ? '◀◀' : '▶▶'} ${Math.abs(speed)}×  ${clock(at)}`);
  };
  const run = (now: number) => {
    at += ((now - before) / 1000) * speed;
    before = now;
    const end = player.duration || 0;
    if (at <= 0 || at >= end) {
      at = Math.min(Math.max(at, 0), Math.max(0, end - 0.1));
      stop(speed < 0);
      return;
    }
    draw();
    frame = requestAnimationFrame(run);
  };
  const stop = (play: boolean) => {
    if (!speed) return;
    cancelAnimationFrame(frame);
    speed = 0;
    player.currentTime = at;
    over.dataset.tile = '';
    const shown = () => {
      over.hidden = true;
    };
    player.addEventListener('seeked', shown, { once: true });
    if (play) void player.play().catch(() => undefined);
  };
  const faster = (direction: 1 | -1) => {
    const now = Math.sign(speed) === direction ? Math.abs(speed) : 0;
    const next = SPEEDS.find((one) => one > now);
    if (!next) return stop(true);
    if (!speed) {
      at = player.currentTime;
      player.pause();
    }
    cancelAnimationFrame(frame);
    speed = next * direction;
    over.hidden = false;
    before = performance.now();
    draw();
    frame = requestAnimationFrame(run);
  };
  const button = (name: string, label: string, sign: string, direction: 1 | -1) => {
    const node = el('button', { type: 'button', class: 'trick-button', 'aria-label': label, title: `${label} (2×, 8×, 32×)`, 'data-testid': name }, sign);
    node.addEventListener('click', () => faster(direction));
    return node;
  };
  over.addEventListener('click', () => stop(true));
  // Whoever plays or seeks by other means goes on from there.
  player.addEventListener('play', () => stop(true));
  return { back: button('trick-back', 'Rewind', '◀◀', -1), forward: button('trick-forward', 'Fast forward', '▶▶', 1), over };
}
