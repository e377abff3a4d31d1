// How playlists name content keys, and how ClearKey does. Pure.

const KEY = /^#EXT-X-KEY:METHOD=SAMPLE-AES,URI="(\.\.\/keys\/([0-9a-f]{32})\.key)"$/gm;

/** A playlist that names its keys by ClearKey's format, with their ids. */
export const retagged = (playlist: string): string =>
  playlist.replace(KEY, '#EXT-X-KEY:METHOD=SAMPLE-AES,KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1",KEYID=0x$2,URI="$1"');

/** A key's id as licence requests have it: base64url without padding. */
export const keyId = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
