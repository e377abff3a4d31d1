// Videos sealed by patterns (cbcs): playlists name their keys by address, which hls.js does not play. The browser opens them with
// a ClearKey licence, and hls.js is given playlists without keys. Browsers do so in secure contexts alone.
import Hls, { type HlsConfig, type Loader, type LoaderCallbacks, type LoaderConfiguration, type LoaderContext } from 'hls.js';
import { kids, opened } from './keys';
import { admitted, type Ticket } from './token';

const SYSTEM = 'org.w3.clearkey';

/** What hls.js needs for such a video: a playlist is given to it when the browser has its keys. */
export function clearKey(player: HTMLVideoElement, id: string, ticket: () => Ticket | null): Partial<HlsConfig> {
  const ready = prepared(player);
  const known = new Map<string, Promise<void>>();
  const licence = () => admitted(new URL(`/v/${id}/licence`, location.href).href, location.href, ticket());
  const have = async (ids: string[]) => {
    const keys = await ready;
    const fresh = ids.filter((one) => !known.has(one));
    if (fresh.length > 0) {
      const asked = licensed(keys.createSession(), fresh, licence());
      for (const one of fresh) known.set(one, asked);
    }
    await Promise.all(ids.map((one) => known.get(one)));
  };
  return { pLoader: opening(have) };
}

async function prepared(player: HTMLVideoElement): Promise<MediaKeys> {
  const of = (contentType: string) => [{ contentType, encryptionScheme: 'cbcs' }];
  const audioCapabilities = of('audio/mp4; codecs="mp4a.40.2"');
  const videoCapabilities = of('video/mp4; codecs="avc1.640028"');
  const access = await navigator.requestMediaKeySystemAccess(SYSTEM, [{ initDataTypes: ['keyids'], audioCapabilities, videoCapabilities }]);
  const keys = await access.createMediaKeys();
  await player.setMediaKeys(keys);
  return keys;
}

/** Asks for the licence of some keys. */
async function licensed(session: MediaKeySession, ids: string[], url: string): Promise<void> {
  const message = new Promise<ArrayBuffer>((done) => session.addEventListener('message', (event) => done(event.message), { once: true }));
  await session.generateRequest('keyids', new TextEncoder().encode(JSON.stringify({ kids: kids(ids) })));
  const answer = await fetch(url, { method: 'POST', body: await message, headers: { 'content-type': 'application/json' } });
  if (!answer.ok) throw new Error(`the licence was answered ${answer.status}`);
  await session.update(await answer.arrayBuffer());
}

type Loads = new (config: HlsConfig) => Loader<LoaderContext>;

function opening(have: (ids: string[]) => Promise<void>): NonNullable<HlsConfig['pLoader']> {
  const Plain = Hls.DefaultConfig.loader as Loads;
  class Opening extends Plain {
    load(context: LoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      const onSuccess: typeof callbacks.onSuccess = (response, stats, same, details) => {
        const { text, ids } = opened(String(response.data));
        have(ids).then(
          () => callbacks.onSuccess({ ...response, data: text }, stats, same, details),
          (error: Error) => callbacks.onError({ code: 0, text: error.message }, same, details, stats),
        );
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  }
  return Opening as unknown as NonNullable<HlsConfig['pLoader']>;
}
