// The map: sites, as large as what they send, in the colour of how they are. A list says the same in words.
import { el, say } from '../dom';
import { type Frame, type Health, type Node, type Site, health, mbps } from './fleet';
import { HEIGHT, WIDTH, land, x, y } from './world';

const NS = 'http://www.w3.org/2000/svg';
/** Radii of a site that sends nothing, and what is added for the one that sends most. */
const [LEAST, MORE] = [5, 13];
const WORDS: Record<Health, string> = { good: 'well', warn: 'not all well', bad: 'nobody serves' };

function svg(tag: string, attributes: Record<string, string | number>, ...children: Element[]): SVGElement {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

interface Seen {
  site: Site;
  nodes: Node[];
  out: number;
  health: Health;
}

export function map(): { root: HTMLElement; show: (frame: Frame) => void } {
  const dots = svg('g', {});
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': 'Sites on a map of the world; the list below says the same' }, svg('path', { d: land(), class: 'land' }), dots);
  const list = el('ul', { class: 'sites' });
  const root = el('section', { class: 'panel map', 'aria-label': 'Sites' }, el('h2', {}, 'Sites'));
  root.append(picture, list);
  let shown = '';
  const show = (frame: Frame) => {
    const seen = frame.sites.map((site) => of(frame, site)).filter(({ nodes }) => nodes.length > 0);
    const now = JSON.stringify(seen.map(({ site, nodes, out, health }) => [site, nodes.length, Math.round(out * 20), health]));
    if (now === shown) return;
    shown = now;
    const most = Math.max(1, ...seen.map(({ out }) => out));
    dots.replaceChildren(...seen.flatMap((one) => dot(one, most)));
    list.replaceChildren(...seen.map(entry));
  };
  return { root, show };
}

function of(frame: Frame, site: Site): Seen {
  const nodes = frame.nodes.filter((node) => node.site === site.name);
  const out = nodes.filter((node) => node.tier === 'near').reduce((all, node) => all + node.out_mbps, 0);
  return { site, nodes, out, health: health(nodes) };
}

function dot({ site, out, health }: Seen, most: number): Element[] {
  if (site.latitude === null || site.longitude === null) return [];
  const [cx, cy] = [x(site.longitude), y(site.latitude)];
  const r = LEAST + MORE * Math.sqrt(out / most);
  // What is near the right edge has its name to the left.
  const left = cx > WIDTH - 150;
  const name = svg('text', { x: cx + (left ? -1 : 1) * (r + 6), y: cy + 4, 'text-anchor': left ? 'end' : 'start' });
  name.textContent = site.name;
  return [svg('circle', { cx, cy, r: r + 5, class: `halo ${health}` }), svg('circle', { cx, cy, r, class: `dot ${health}` }), name];
}

function entry({ site, nodes, out, health }: Seen): HTMLElement {
  const where = site.latitude === null || site.longitude === null ? 'not on the map: its configuration says no position' : (site.region ?? '');
  const row = el('li', {}, el('span', { class: `mark ${health}`, 'aria-hidden': 'true' }), el('strong', {}, site.name), el('span', { class: 'dim' }, where), el('span', { class: 'end' }, ''));
  say(row.lastElementChild as HTMLElement, `${mbps(out)}, ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}, ${WORDS[health]}`);
  return row;
}
