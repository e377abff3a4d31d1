// Who was sent where lately, and why: each answer can be opened, with what every place would have cost.
import { el } from '../dom';
import { sheet } from './confirm';
import { ask } from './session';

/** Answers that are listed. */
const MOST = 12;

interface Decision {
  choices: { pathway: string; place: string }[];
  reason: { why: string; saves?: number };
  ttl_s: number;
}

interface Session {
  id: string;
  country: string | null;
  network: number | null;
  pathway: string | null;
}

interface Asked {
  at_ms: number;
  view: number;
  session: Session;
  decision: Decision;
}

interface Explained {
  view: { version: number; table: number };
  session: Session;
  decision: Decision;
  ranked: { place: string; cost: number; terms: Record<string, number>; room: boolean; drawn: boolean }[];
  excluded: { place: string; why: { why: string } }[];
}

/** The reasons in words; one that is not here is shown by its name. */
const WHY: Record<string, string> = {
  new: 'new: the best place for it',
  stays: 'stays: nothing is better by the margin',
  held: 'held: moved a moment ago, or its turn comes later',
  better: 'moved to what is better',
  relieved: 'moved: its edge has too much to do',
  closed: 'moved: its edge takes no part any more',
  unwell: 'moved: its edge is not well',
  forbidden: 'moved: by a rule',
  unknown: 'moved: nobody knows its pathway',
  nothing: 'there is nothing to choose from',
};
const TERMS = ['distance', 'load', 'price', 'quality', 'rule'];

export function steering(): { root: HTMLElement; renew: () => Promise<void> } {
  const list = el('ul', { class: 'decisions', 'data-testid': 'decisions' });
  const none = el('p', { class: 'dim' }, 'Nobody has asked yet.');
  let shown = '';
  const renew = async () => {
    const { decisions } = await ask<{ decisions: Asked[] }>(`/v1/steering/decisions?limit=${MOST}`);
    none.hidden = decisions.length > 0;
    const now = decisions.map((one) => one.session.id + one.at_ms).join();
    if (now === shown || list.contains(document.activeElement)) return;
    shown = now;
    list.replaceChildren(...decisions.map(line));
  };
  return { root: el('section', { class: 'panel', 'aria-label': 'Steering' }, el('h2', {}, 'Steering, the newest answers'), list, none), renew };
}

function line(asked: Asked): HTMLElement {
  const { session, decision, at_ms } = asked;
  const [first] = decision.choices;
  const from = [session.country, session.network && `AS${session.network}`].filter(Boolean).join(' ') || 'somewhere';
  const button = el(
    'button',
    { type: 'button', class: 'decision' },
    el('time', { class: 'dim' }, new Date(at_ms).toLocaleTimeString([], { hourCycle: 'h23' })),
    el('span', { class: `reason ${decision.reason.why}` }, decision.reason.why),
    el('span', { class: 'path' }, `${from} → ${first ? `${first.place} / ${first.pathway}` : 'nowhere'}`),
  );
  button.addEventListener('click', () => {
    ask<Explained>(`/v1/steering/decisions/${session.id}/${at_ms}`).then(explain, (error: Error) => sheet('Not known any more', el('p', {}, error.message)));
  });
  return el('li', {}, button);
}

function explain({ view, session, decision, ranked, excluded }: Explained): void {
  const number = (value: number) => el('td', { class: 'number' }, value.toFixed(2));
  const row = (one: Explained['ranked'][number]) =>
    el('tr', {}, el('th', { scope: 'row' }, one.place), number(one.cost), ...TERMS.map((term) => number(one.terms[term] ?? 0)), el('td', {}, [one.room ? '' : 'full', one.drawn ? 'drawn by its share' : ''].filter(Boolean).join(', ')));
  const head = ['Place', 'Cost', 'Distance', 'Load', 'Price', 'Quality', 'Rule', ''].map((name, at) => el('th', { scope: 'col', class: at ? 'number' : '' }, name));
  const table = el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...ranked.map(row)));
  const out = excluded.map(({ place, why }) => el('li', {}, `${place}: ${why.why}`));
  const saves = decision.reason.saves === undefined ? '' : `; saves ${decision.reason.saves.toFixed(2)}`;
  sheet(
    'Why it was sent there',
    el('p', {}, `${WHY[decision.reason.why] ?? decision.reason.why}${saves}.`),
    el('p', { class: 'dim' }, `Session ${session.id}, view ${view.version} of route table ${view.table}. It asks again after ${decision.ttl_s} s. Told, in this order: ${decision.choices.map((choice) => choice.pathway).join(', ') || 'nothing'}.`),
    el('div', { class: 'wide-scroll', tabindex: '0', role: 'region', 'aria-label': 'Costs by place' }, table),
    ...(out.length ? [el('p', {}, 'No choice:'), el('ul', {}, ...out)] : []),
  );
}
