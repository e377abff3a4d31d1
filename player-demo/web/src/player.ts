// hls.js, with what it can tell about each segment.
import Hls, { type FragLoadedData, type HlsConfig } from 'hls.js';
import type { Video } from './api';
import { lastHop } from './cache-status';
import { clearKey } from './clearkey';
import { Patience } from './pauses';
import { label } from './quality';
import { admitted, type Ticket } from './token';

export interface Segment {
  rung: string;
  seq: number;
  bytes: number;
  ms: number;
  edge: string;
  cache: string;
  age: string;
}

/** Measured: with these a dead edge costs no freeze, where the defaults cost eight seconds. */
const policy = (): HlsConfig['fragLoadPolicy'] => ({
  default: {
    maxTimeToFirstByteMs: 2000,
    maxLoadTimeMs: 60000,
    timeoutRetry: { maxNumRetry: 2, retryDelayMs: 100, maxRetryDelayMs: 500 },
    errorRetry: { maxNumRetry: 4, retryDelayMs: 100, maxRetryDelayMs: 1000 },
  },
});

/** Told when a player cannot go on and is helped, or is not any more and `again` tries once more; null once it goes on. */
export type Tell = (now: { words: string; again: (() => void) | null } | null) => void;

/** `ticket` is asked for each time: it is renewed while a video plays. */
export function attach(player: HTMLVideoElement, video: Video, ticket: () => Ticket | null, heard: (segment: Segment) => void, tell: Tell = () => undefined): Hls {
  const hls = new Hls({
    backBufferLength: 30,
    maxBufferLength: 30,
    fragLoadPolicy: policy(),
    xhrSetup: (xhr, to) => {
      const now = ticket();
      if (now) xhr.open('GET', admitted(to, location.href, now), true);
    },
    ...(video.protection === 'cbcs' ? clearKey(player, video.id, ticket) : {}),
    cmcd: { sessionId: crypto.randomUUID?.() ?? String(Math.random()).slice(2), useHeaders: false },
  });
  hls.on(Hls.Events.FRAG_LOADED, (_, data) => {
    const segment = describe(hls, data);
    if (segment) heard(segment);
  });
  // Of a pathway that steering makes of another, hls.js takes the text tracks' elements for there after it removed them.
  hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, (_, { subtitleTracks }) => {
    for (const track of subtitleTracks) if (!track.trackNode?.isConnected) track.trackNode = undefined;
  });
  mend(hls, video, tell);
  hls.loadSource(video.urls.master);
  hls.attachMedia(player);
  return hls;
}

/** Helps a player that cannot go on, so often as it makes sense; then it is said, and whoever watches may try again. */
function mend(hls: Hls, video: Video, tell: Tell): void {
  const patience = new Patience();
  let timer = 0;
  const load = () => (hls.levels.length > 0 ? hls.startLoad() : hls.loadSource(hls.url ?? video.urls.master));
  const help = (kind: 'network' | 'media') => (kind === 'media' ? hls.recoverMediaError() : load());
  hls.on(Hls.Events.FRAG_BUFFERED, () => tell(null));
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return;
    const kind = data.type === Hls.ErrorTypes.MEDIA_ERROR ? 'media' : data.type === Hls.ErrorTypes.NETWORK_ERROR ? 'network' : null;
    const pause = kind && patience.next(kind, performance.now());
    clearTimeout(timer);
    if (kind && pause !== null) {
      if (kind === 'network') tell({ words: 'The video does not come through. Trying again…', again: null });
      if (pause === 0) help(kind);
      else timer = window.setTimeout(() => help(kind), pause);
      return;
    }
    const status = data.response?.code ? ` The server answered ${data.response.code}.` : '';
    tell({ words: `The video stopped (${data.details}).${status}`, again: () => {
      patience.anew();
      tell(null);
      help(kind ?? 'network');
    } });
  });
}

function describe(hls: Hls, data: FragLoadedData): Segment | null {
  const { frag, networkDetails } = data;
  if (frag.sn === 'initSegment') return null;
  const level = hls.levels[frag.level];
  const field = (name: string) => (networkDetails as XMLHttpRequest | null)?.getResponseHeader?.(name) ?? '';
  const hop = lastHop(field('cache-status'));
  const { loading, total } = frag.stats;
  return {
    rung: frag.type === 'main' && level ? label(level) : 'Audio',
    seq: frag.sn,
    bytes: total,
    ms: Math.round(loading.end - loading.start),
    edge: field('sluice-node') || hop?.node || new URL(frag.url).host,
    cache: hop?.outcome ?? 'unknown',
    age: field('age'),
  };
}
