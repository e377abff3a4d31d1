// Small pictures of a video, on sheets: WebVTT whose cues name a part of a sheet (`#xywh=`). Pure.

export interface Tile {
  from: number;
  to: number;
  /** The sheet. */
  url: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

const seconds = (clock: string): number => clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

/** Reads the list; `at` makes of each sheet's URL one that can be asked for. */
export function tiles(text: string, at: (uri: string) => string): Tile[] {
  const found = text.matchAll(/^([\d:.]+) --> ([\d:.]+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm);
  return [...found].map(([, from = '', to = '', uri = '', x, y, width, height]) => ({
    from: seconds(from),
    to: seconds(to),
    url: at(uri),
    x: Number(x),
    y: Number(y),
    width: Number(width),
    height: Number(height),
  }));
}

/** The picture of a moment: the last one that has begun. */
export function tileAt(all: Tile[], time: number): Tile | null {
  const next = all.findIndex((tile) => tile.from > time);
  return all.at(next === -1 ? -1 : Math.max(0, next - 1)) ?? null;
}

/** The list with whole URLs, for those who read it from somewhere else. */
export function written(all: Tile[]): string {
  const clock = (time: number) => {
    const ms = Math.round(time * 1000);
    const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
    return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`;
  };
  const cue = (t: Tile) => `${clock(t.from)} --> ${clock(t.to)}\n${t.url}#xywh=${t.x},${t.y},${t.width},${t.height}\n`;
  return ['WEBVTT\n', ...all.map(cue)].join('\n');
}
