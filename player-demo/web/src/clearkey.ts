// Videos sealed by patterns (cbcs): playlists name their keys by address, which hls.js does not play; it does by ClearKey's
// own format, with a licence. The tags are written so as they come in. The browser asks for licences in secure contexts alone.
import Hls, { type HlsConfig, type Loader, type LoaderCallbacks, type LoaderConfiguration, type LoaderContext } from 'hls.js';
import { keyId, retagged } from './keys';
import { admitted, type Ticket } from './token';

/** What hls.js needs for such a video. */
export function clearKey(id: string, ticket: () => Ticket | null): Partial<HlsConfig> {
  return {
    emeEnabled: true,
    drmSystems: {
      'org.w3.clearkey': {
        licenseUrl: new URL(`/v/${id}/licence`, location.href).href,
        generateRequest: (_type, _data, { decryptdata }) => ({
          initDataType: 'keyids',
          initData: new TextEncoder().encode(JSON.stringify({ kids: [keyId(decryptdata.keyId ?? new Uint8Array())] })).buffer,
        }),
      },
    },
    licenseXhrSetup: (xhr, url) => {
      xhr.open('POST', admitted(url, location.href, ticket()), true);
      xhr.setRequestHeader('content-type', 'application/json');
    },
    pLoader: retagging(),
  };
}

type Loads = new (config: HlsConfig) => Loader<LoaderContext>;

function retagging(): NonNullable<HlsConfig['pLoader']> {
  const Plain = Hls.DefaultConfig.loader as Loads;
  class Retagging extends Plain {
    load(context: LoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      const onSuccess: typeof callbacks.onSuccess = (response, ...rest) => {
        if (typeof response.data === 'string') response.data = retagged(response.data);
        callbacks.onSuccess(response, ...rest);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  }
  return Retagging as unknown as NonNullable<HlsConfig['pLoader']>;
}
