// hls.js, with what it can tell about each segment.
import Hls, { type FragLoadedData, type HlsConfig } from 'hls.js';
import type { Video } from './api';
import { lastHop } from './cache-status';
import { clearKey } from './clearkey';
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

/** `ticket` is asked for each time: it is renewed while a video plays. */
export function attach(player: HTMLVideoElement, video: Video, ticket: () => Ticket | null, heard: (segment: Segment) => void): Hls {
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
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else if (data.type === Hls.ErrorTypes.NETWORK_ERROR) window.setTimeout(() => hls.startLoad(), 1000);
  });
  hls.loadSource(video.urls.master);
  hls.attachMedia(player);
  return hls;
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
