// How playlists name content keys, and how ClearKey does. Pure.

const KEY = /^#EXT-X-KEY:METHOD=SAMPLE-AES,URI="\.\.\/keys\/([0-9a-f]{32})\.key"\n/gm;

/** A playlist without its keys, and their ids, each once. */
export function opened(playlist: string): { text: string; ids: string[] } {
  const ids = [...playlist.matchAll(KEY)].map((found) => found[1] ?? '');
  return { text: playlist.replace(KEY, ''), ids: [...new Set(ids)] };
}

/** Ids as licence requests have them: base64url without padding. */
export const kids = (ids: string[]): string[] =>
  ids.map((id) => {
    const bytes = (id.match(/../g) ?? []).map((hex) => Number.parseInt(hex, 16));
    return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  });
