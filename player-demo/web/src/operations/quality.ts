// How viewers fare, by place and by network, as their players say (CMCD). Not there while nobody says anything, nor where the
// control plane does not tell.
import { el } from '../dom';
import { millis, percent } from './fleet';
import { Refused, ask } from './session';

/** Who plays somewhere, and how many of them starve. */
interface Part {
  sessions: number;
  starved: number;
  score: number;
}

interface Place extends Part {
  place: string;
  startup_ms: { p50: number | null; p95: number | null };
  stalls_per_hour: number;
  kbps: { p50: number | null };
}

interface Network extends Part {
  network: number;
  place: string;
}

/** Lines of each table. */
const MOST = 8;

export function quality(): { root: HTMLElement; renew: () => Promise<void> } {
  const [places, networks] = [el('tbody', {}), el('tbody', {})];
  const ofNetworks = table('Quality by network', ['Network', 'Place', 'Sessions', 'Starved', 'Score'], networks);
  const ofPlaces = table('Quality by place', ['Place', 'Sessions', 'Starved', 'Start-up p50', 'p95', 'Stalls an hour', 'Bit rate p50', 'Score'], places);
  const root = el('section', { class: 'panel quality', 'aria-label': 'Quality', hidden: true, 'data-testid': 'quality' }, el('h2', {}, 'What viewers see'), ofPlaces, ofNetworks);
  let there: boolean | null = null;
  const renew = async () => {
    there ??= await told();
    if (!there) return;
    try {
      const all = await ask<{ places: Place[]; networks: Network[] }>('/v1/quality');
      const most = <T extends Part>(list: T[]) => list.filter((one) => one.sessions > 0).sort((a, b) => b.sessions - a.sessions).slice(0, MOST);
      const [byPlace, byNetwork] = [most(all.places), most(all.networks)];
      places.replaceChildren(...byPlace.map(place));
      networks.replaceChildren(...byNetwork.map(network));
      ofNetworks.hidden = byNetwork.length === 0;
      root.hidden = byPlace.length + byNetwork.length === 0;
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
      there = false;
      root.hidden = true;
    }
  };
  return { root, renew };
}

/** Whether the control plane tells it at all: its own description says so. */
async function told(): Promise<boolean> {
  const { paths } = await ask<{ paths: Record<string, unknown> }>('/openapi.json');
  return '/v1/quality' in paths;
}

function table(label: string, names: string[], body: HTMLElement): HTMLElement {
  const head = names.map((name, at) => el('th', { scope: 'col', class: at ? 'number' : '' }, name));
  return el('div', { class: 'wide-scroll', tabindex: '0', role: 'region', 'aria-label': label }, el('table', {}, el('thead', {}, el('tr', {}, ...head)), body));
}

function place({ place: name, sessions, starved, startup_ms, stalls_per_hour, kbps, score }: Place): HTMLElement {
  const rate = kbps.p50 === null ? '–' : `${kbps.p50} kbit/s`;
  return row(name, [String(sessions), String(starved), millis(startup_ms.p50), millis(startup_ms.p95), stalls_per_hour.toFixed(1), rate, percent(score)]);
}

function network({ network: number, place: name, sessions, starved, score }: Network): HTMLElement {
  return row(`AS${number}`, [name, String(sessions), String(starved), percent(score)]);
}

function row(name: string, cells: string[]): HTMLElement {
  return el('tr', {}, el('th', { scope: 'row' }, name), ...cells.map((text) => el('td', { class: 'number' }, text)));
}
