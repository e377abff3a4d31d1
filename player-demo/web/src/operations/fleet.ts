// The fleet as the control plane tells it, and what follows from that. Pure.

/** A second: the near edges together. */
export interface Point {
  at_ms: number;
  requests: number;
  hits: number;
  misses: number;
  errors: number;
  out_mbps: number;
  active: number;
  origin_mbps: number;
  steered: Record<string, number>;
  sites: Record<string, number>;
}

export interface Site {
  name: string;
  region: string | null;
  latitude: number | null;
  longitude: number | null;
}

export type State = 'joining' | 'ready' | 'draining' | 'gone';

export interface Node {
  node: string;
  tier: 'near' | 'shield';
  site: string;
  state: State;
  draining: boolean;
  public_url: string;
  requests: number;
  hits: number;
  misses: number;
  errors: number;
  out_mbps: number;
  in_mbps: number;
  active: number;
  cache_bytes: number;
  cache_objects: number;
  table_version: number;
  log_seq: number;
  health: number | null;
  load: number | null;
}

export interface Frame {
  now: Point;
  table_version: number;
  config_version: number;
  log_seq: number;
  purges: { count: number; p50_ms: number | null; p99_ms: number | null };
  sites: Site[];
  nodes: Node[];
}

/** Below this many a second there is nothing to tell a ratio of. */
const SOME = 0.05;

export const sum = (of: Record<string, number>): number => Object.values(of).reduce((all, one) => all + one, 0);

/** The part of answers that came out of a cache; null without any. */
export function hitRatio({ hits, misses }: { hits: number; misses: number }): number | null {
  return hits + misses < SOME ? null : hits / (hits + misses);
}

/** The part of what is sent that no origin had to give; null when nothing is sent. */
export function offload({ out_mbps, origin_mbps }: Point): number | null {
  return out_mbps < SOME ? null : Math.max(0, 1 - origin_mbps / out_mbps);
}

/** How well a place is, by its nodes. */
export type Health = 'good' | 'warn' | 'bad';

export function health(nodes: Node[]): Health {
  const ready = nodes.filter((node) => node.state === 'ready');
  if (ready.length === 0) return nodes.some((node) => node.state === 'draining') ? 'warn' : 'bad';
  const well = ready.every((node) => (node.health ?? 1) >= 0.9 && (node.load ?? 0) < 0.9);
  return well && ready.length === nodes.length ? 'good' : 'warn';
}

/** The fleet in a few words. */
export function inWords(nodes: Node[]): string {
  if (nodes.length === 0) return 'No edge has reported yet';
  const count = (state: State) => nodes.filter((node) => node.state === state).length;
  const others = (['joining', 'draining', 'gone'] as State[]).map((state) => [count(state), state] as const).filter(([n]) => n > 0);
  const ready = others.length === 0 ? `All ${nodes.length} nodes ready` : `${count('ready')} of ${nodes.length} nodes ready`;
  return [ready, ...others.map(([n, state]) => `${n} ${state}`)].join(', ');
}

export const mbps = (value: number): string => (value >= 1000 ? `${(value / 1000).toFixed(2)} Gbit/s` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} Mbit/s`);
export const percent = (share: number | null): string => (share === null ? '–' : `${(share * 100).toFixed(share > 0.999 || share < 0.0005 ? 0 : 1)} %`);
export const perSecond = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
export const millis = (value: number | null): string => (value === null ? '–' : value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
