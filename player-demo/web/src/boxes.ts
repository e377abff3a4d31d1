// Where an MP4 or MOV file keeps its index (ISO/IEC 14496-12, section 4.2). A camera writes it after the film; nothing can
// be played before it is there, so such a file is sent end first.

/** Top-level boxes looked at. A film has fewer than ten. */
const MAX_BOXES = 1024;
/** Bytes of the longest head of a box. */
const HEAD = 16;
/** What a file of this kind begins with. */
const FIRST = ['ftyp', 'wide', 'free', 'skip', 'mdat', 'moov', 'pnot'];

/** Where the index begins that is behind the film; null when it is in front, or this is no such file. */
export async function trailingIndex(file: Blob): Promise<number | null> {
  let at = 0;
  let film = false;
  for (let n = 0; n < MAX_BOXES && at < file.size; n += 1) {
    const head = new DataView(await file.slice(at, at + HEAD).arrayBuffer());
    if (head.byteLength < 8) return null;
    const kind = String.fromCharCode(...[4, 5, 6, 7].map((place) => head.getUint8(place)));
    if (n === 0 && !FIRST.includes(kind)) return null;
    let size = head.getUint32(0);
    let least = 8;
    if (size === 0) size = file.size - at;
    else if (size === 1) {
      if (head.byteLength < HEAD) return null;
      size = Number(head.getBigUint64(8));
      least = HEAD;
    }
    if (size < least || size > file.size - at || kind === 'moof') return null;
    if (kind === 'moov') return film ? at : null;
    if (kind === 'mdat') film = true;
    at += size;
  }
  return null;
}
