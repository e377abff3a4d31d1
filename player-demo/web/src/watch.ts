// The watch page: the player, and what is going on behind it.
import Hls from 'hls.js';
import 'media-chrome';
import { beside, follow, get, playback, type Video } from './api';
import { button, el, say } from './dom';
import { bytes, rate } from './format';
import { downloads, storyboard, tracks } from './beside';
import { backOff } from './pauses';
import { attach, type Segment, type Tell } from './player';
import { label, quality } from './quality';
import { rise } from './rise';
import { spark } from './spark';
import { unstick } from './stuck';
import { chooser, panel as textPanel } from './subtitles';
import { admitted, guarded, type Ticket } from './token';
import { trick } from './trick';

/** Rows of the segments' table. */
const ROWS = 40;
/** Milliseconds before a token that could not be had is asked for again, and at most. */
const RENEW = [2000, 60_000] as const;

export function watch(main: HTMLElement, id: string): void {
  main.classList.add('watch');
  main.append(el('p', { class: 'dim' }, 'Loading…'));
  get(id).then(
    (video) => {
      if (video.playable) open(main, video);
      else wait(main, video);
    },
    (error: Error) => refused(main, error),
  );
}

function refused(main: HTMLElement, error: Error): void {
  main.replaceChildren(el('h1', {}, 'This video cannot be watched'), el('p', { class: 'why', role: 'alert' }, error.message), el('a', { href: '/' }, 'To the library'));
}

/** Of a private video nothing can be had without a token, of a sealed one no key. It is renewed in time, for those who watch for long. */
function open(main: HTMLElement, video: Video): void {
  const opens = guarded(video);
  if (!opens) return show(main, video, () => null);
  let now: Ticket | null = null;
  // Milliseconds until the next one; infinite for one that is good for ever.
  const mint = async () => {
    const { param, token, expires_ms } = await playback(video.id);
    now = token ? { id: video.id, param, token, opens } : null;
    return expires_ms ? Math.max(10_000, Math.min((expires_ms - Date.now()) / 2, 3_600_000)) : Infinity;
  };
  const later = (ms: number, failed = 0): void => {
    if (!Number.isFinite(ms)) return;
    window.setTimeout(() => void mint().then((next) => later(next), () => later(backOff(failed, RENEW), failed + 1)), ms);
  };
  mint().then(
    (ms) => {
      show(main, video, () => now);
      later(ms);
    },
    (error: Error) => refused(main, error),
  );
}

/** A video that cannot be played yet becomes one that can. */
function wait(main: HTMLElement, first: Video): void {
  const state = el('p', { class: 'dim', 'aria-live': 'polite' });
  const bar = el('progress', { max: '1', value: '0', 'aria-label': 'Transcoding' });
  main.replaceChildren(el('h1', {}, first.title), state, bar);
  const stop = follow(first.id, (video) => {
    bar.value = video.progress;
    say(state, video.state === 'failed' ? `Cannot be shown: ${video.error ?? ''}` : 'It can be watched in a moment.');
    if (video.playable) {
      stop();
      open(main, video);
    }
  }, () => say(state, 'It was deleted.'));
}

function show(main: HTMLElement, video: Video, ticket: () => Ticket | null): void {
  const at = (url: string) => admitted(url, location.href, ticket());
  document.title = `${video.title} · Sluice`;
  const player = el('video', { id: 'player', slot: 'media', playsinline: true, crossorigin: true, ...(video.urls.poster ? { poster: at(video.urls.poster) } : {}) });
  const controls = document.createElement('media-controller');
  controls.append(player, ...['media-loading-indicator'].map(centre), bar());
  const facts = panel();
  const links = share(at(video.urls.master));
  const stopped = stop();
  // Players read the list anew, and go on where they were.
  let anew = () => {};
  const parts: (HTMLElement | null)[] = [
    el('div', { class: 'stage' }, controls, el('div', { class: 'title' }, el('h1', {}, video.title), el('p', { class: 'dim' }, `${video.name}${video.bytes ? ` · ${bytes(video.bytes)}` : ''}`)), video.error && el('p', { class: 'why' }, video.error), stopped.root),
    el('aside', { class: 'side', 'aria-label': 'Playback' }, facts.root),
    downloads(video, at),
    textPanel(video, at, () => anew()),
    facts.table,
    links,
  ];
  main.replaceChildren(...parts.filter((part) => part !== null));
  void dress(player, controls, video, at);
  if (Hls.isSupported()) anew = connect(player, video, facts, ticket, stopped.tell);
  else player.src = at(video.urls.master);
}

/** What is said below a picture that stands still, and the way to go on. */
function stop(): { root: HTMLElement; tell: Tell } {
  const words = el('span', { class: 'why' });
  const way = el('span');
  const root = el('p', { class: 'row', role: 'alert', hidden: true, 'data-testid': 'play-trouble' }, words, way);
  const tell: Tell = (now) => {
    root.hidden = now === null;
    say(words, now?.words ?? '');
    way.replaceChildren(...(now?.again ? [button('Try again', { class: 'quiet', 'data-testid': 'play-again' }, now.again)] : []));
  };
  return { root, tell };
}

/** Adds what came or was made beside the film. */
async function dress(player: HTMLVideoElement, controls: HTMLElement, video: Video, at: (url: string) => string): Promise<void> {
  const { text, storyboard: list } = await beside(video.id).catch(() => ({ text: [], storyboard: null }));
  const pictures = list ? await storyboard(list, at) : [];
  player.append(...tracks(text, at, pictures));
  if (pictures.length === 0) return;
  const { back, forward, over } = trick(player, pictures);
  over.setAttribute('slot', 'centered-chrome');
  over.setAttribute('noautohide', '');
  controls.append(over);
  const range = controls.querySelector('media-time-range');
  range?.before(back, forward);
}

function centre(name: string): HTMLElement {
  const node = document.createElement(name);
  node.setAttribute('slot', 'centered-chrome');
  node.setAttribute('noautohide', '');
  return node;
}

function bar(): HTMLElement {
  const names = ['play-button', 'seek-backward-button', 'seek-forward-button', 'time-range', 'time-display', 'captions-button', 'mute-button', 'volume-range', 'playback-rate-button', 'pip-button', 'fullscreen-button'];
  const node = document.createElement('media-control-bar');
  for (const name of names) {
    const control = document.createElement(`media-${name}`);
    // It shows both, and is no button then.
    if (name === 'time-display') for (const word of ['showduration', 'notoggle']) control.setAttribute(word, '');
    if (name.startsWith('seek')) control.setAttribute('seekoffset', '10');
    node.append(control);
  }
  return node;
}

interface Facts {
  root: HTMLElement;
  table: HTMLElement;
  rungs: HTMLSelectElement;
  current: HTMLElement;
  buffer: HTMLElement;
  throughput: HTMLElement;
  dropped: HTMLElement;
  steering: HTMLElement;
  graphs: HTMLElement;
  graph: (seconds: number) => void;
  row: (segment: Segment) => void;
}

function panel(): Facts {
  const rungs = el('select', { 'data-testid': 'rung-select', id: 'rungs' }, el('option', { value: '-1' }, 'Auto'));
  const fact = (name: string, id: string): [HTMLElement, HTMLElement] => {
    const value = el('dd', { 'data-testid': id }, '–');
    return [el('dt', {}, name), value];
  };
  const current = fact('Now playing', 'current-rung');
  const buffer = fact('Buffer', 'buffer');
  const throughput = fact('Throughput', 'throughput');
  const dropped = fact('Dropped frames', 'dropped');
  const steering = fact('Pathway', 'pathway');
  const graph = spark(60, 30);
  const rows = el('tbody');
  const table = el(
    'section',
    { class: 'segments', 'aria-label': 'Segments' },
    el('h2', {}, 'Segments'),
    el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Latest segments' }, el('table', {}, el('thead', {}, el('tr', {}, ...['Rung', 'No.', 'Size', 'Time', 'Edge', 'Cache'].map((h) => el('th', { scope: 'col' }, h)))), rows)),
  );
  const row = (s: Segment) => {
    const cells = [s.rung, String(s.seq), bytes(s.bytes), `${s.ms} ms`, s.edge];
    const cache = el('span', { class: `tag ${s.cache === 'hit' ? 'hit' : 'miss'}` }, s.cache === 'hit' && s.age ? `hit, ${s.age} s` : s.cache);
    rows.prepend(el('tr', { 'data-testid': 'segment-row', 'data-edge': s.edge, 'data-cache': s.cache }, ...cells.map((c) => el('td', {}, c)), el('td', {}, cache)));
    while (rows.childElementCount > ROWS) rows.lastElementChild?.remove();
    const served = document.querySelector<HTMLElement>('#served');
    if (served) say(served, `served by ${s.edge}`);
  };
  const root = el(
    'div',
    { class: 'facts' },
    el('label', { for: 'rungs' }, 'Quality'),
    rungs,
    graph.canvas,
    el('dl', {}, ...current, ...buffer, ...throughput, ...dropped, ...steering),
  );
  return { root, table, rungs, current: current[1], buffer: buffer[1], throughput: throughput[1], dropped: dropped[1], steering: steering[1], graphs: graph.canvas, graph: graph.push, row };
}

/** Plays; gives what reads the list anew. */
function connect(player: HTMLVideoElement, video: Video, facts: Facts, ticket: () => Ticket | null, trouble: Tell): () => void {
  const hls = attach(player, video, ticket, facts.row, trouble);
  facts.graphs.before(chooser(hls));
  let source = video.urls.master;
  // Goes on where it was.
  const anew = () => {
    const [at, paused] = [player.currentTime, player.paused];
    hls.config.startPosition = at;
    hls.once(Hls.Events.MANIFEST_PARSED, () => {
      if (!paused) void player.play().catch(() => undefined);
    });
    hls.loadSource(source);
  };
  quality(hls, facts.rungs, (playlist) => {
    source = playlist ?? video.urls.master;
    anew();
  });
  rise(video, anew);
  unstick(hls, player, anew);
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => {
    const now = hls.levels[level];
    if (now) say(facts.current, label(now));
  });
  window.setInterval(() => {
    const ahead = bufferAhead(player);
    facts.graph(ahead);
    say(facts.buffer, `${ahead.toFixed(1)} s`);
    say(facts.throughput, Number.isFinite(hls.bandwidthEstimate) ? rate(hls.bandwidthEstimate) : '–');
    say(facts.dropped, String(player.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0));
    const now = hls.levels[hls.currentLevel] ?? hls.levels[hls.loadLevel];
    say(facts.steering, now?.pathwayId ?? '–');
  }, 500);
  return anew;
}

function bufferAhead(player: HTMLVideoElement): number {
  const { buffered, currentTime } = player;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime) return buffered.end(i) - currentTime;
  }
  return 0;
}

function share(master: string): HTMLElement {
  const url = new URL(master, location.href).href;
  const line = (text: string) => {
    const button = el('button', { type: 'button', class: 'quiet' }, 'Copy');
    button.addEventListener('click', () => {
      void navigator.clipboard?.writeText(text).then(() => say(button, 'Copied'));
    });
    return el('li', {}, el('code', {}, text), button);
  };
  return el('section', { class: 'links', 'aria-label': 'Elsewhere' }, el('h2', {}, 'Play it elsewhere'), el('ul', {}, ...[url, `ffplay ${url}`, `mpv ${url}`, `curl -sI ${url}`].map(line)));
}
