// The interface, for people who write programs: every route of every app, out of the descriptions that the server itself gives.
import './reference.css';
import { el } from './dom';
import { operations, type Answer, type Description, type Operation } from './openapi';

/** Where the descriptions are, and what each is called here. */
const APIS = [
  { name: 'Accounts', at: '/v1/accounts/openapi.json' },
  { name: 'Videos', at: '/openapi.json' },
  { name: 'Shop', at: '/v1/shop/openapi.json' },
  { name: 'Chat', at: '/v1/chat/openapi.json' },
  { name: 'Feed', at: '/v1/feed/openapi.json' },
];

export async function reference(main: HTMLElement): Promise<void> {
  document.title = 'API · Sluice';
  const find = el('input', { type: 'search', id: 'find', placeholder: 'Find a route', 'aria-label': 'Find a route', 'data-testid': 'find' });
  const list = el('nav', { class: 'routes', 'aria-label': 'Routes' });
  const told = el('div', { class: 'told' }, el('p', { class: 'dim' }, 'Asking the server…'));
  const count = el('p', { class: 'dim', role: 'status', 'data-testid': 'count' });
  main.replaceChildren(
    el('div', { class: 'intro' },
      el('h1', {}, 'API'),
      el('p', { class: 'dim' },
        'Every failure is application/problem+json. Sign in for a token: it is good for all apps. Answers to writes say in Sluice-Version ' +
        'which versions they made; a read with Sluice-At-Least is never shown less.')),
    el('div', { class: 'reference' }, el('div', { class: 'aside' }, find, count, list), told));
  const all = await Promise.all(APIS.map(async (api) => ({ ...api, is: await described(api.at) })));
  const there = all.flatMap(({ name, at, is }) => (is ? [{ name, at, is, routes: operations(is, location.origin) }] : []));
  if (!there.length) {
    told.replaceChildren(el('p', { class: 'why', role: 'alert' }, 'No app describes itself here now.'));
    return;
  }
  const shown: { route: Operation; link: HTMLElement; card: HTMLElement; words: string }[] = [];
  list.replaceChildren(...there.map(({ name, routes }) => el('section', {}, el('h2', {}, name), el('ul', {}, ...routes.map((route) => {
    const link = el('li', {}, el('a', { href: `#${route.id}` }, badge(route.method), el('span', {}, route.path)));
    const words = `${name} ${route.method} ${route.path} ${route.title}`.toLowerCase();
    shown.push({ route, link, card: card(route), words });
    return link;
  })))));
  told.replaceChildren(...there.map(({ name, at, is, routes }) => el('section', { 'data-api': name },
    el('h2', {}, is.info?.title ?? name),
    el('p', { class: 'dim' }, is.info?.description ?? '', ' ', el('a', { href: at }, 'OpenAPI document')),
    ...shown.filter((one) => routes.includes(one.route)).map((one) => one.card))));
  const filter = (): void => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const one of shown) {
      const fits = words.every((word) => one.words.includes(word));
      one.link.hidden = one.card.hidden = !fits;
      left += fits ? 1 : 0;
    }
    for (const section of main.querySelectorAll<HTMLElement>('.reference section')) {
      section.hidden = !section.querySelector('li:not([hidden]), details:not([hidden])');
    }
    count.textContent = `${left} of ${shown.length} routes`;
  };
  find.addEventListener('input', filter);
  filter();
  const open = (): void => {
    const card = document.getElementById(location.hash.slice(1));
    if (card instanceof HTMLDetailsElement) {
      card.open = true;
      card.scrollIntoView();
    }
  };
  addEventListener('hashchange', open);
  open();
}

/** A description, if there is such an app here. */
async function described(at: string): Promise<Description | null> {
  try {
    const answer = await fetch(at);
    return answer.ok ? ((await answer.json()) as Description) : null;
  } catch {
    return null;
  }
}

function badge(method: string): HTMLElement {
  return el('b', { class: 'method', 'data-method': method }, method);
}

function card(route: Operation): HTMLElement {
  return el('details', { class: 'panel route', id: route.id, 'data-testid': 'route' },
    el('summary', {}, badge(route.method), el('code', {}, route.path), el('span', { class: 'dim' }, route.title)),
    route.about ? el('p', {}, route.about) : null,
    route.parameters.length ? parameters(route) : null,
    route.body ? el('div', {}, el('h3', {}, 'Sent'), el('p', { class: 'dim' }, route.body.kind), code(route.body.shape)) : null,
    el('h3', {}, 'Answered'), ...answers(route.answers),
    el('h3', {}, 'Try it'), line(route.curl));
}

function parameters(route: Operation): HTMLElement {
  const rows = route.parameters.map((one) => el('tr', {},
    el('th', { scope: 'row' }, el('code', {}, one.name)), el('td', {}, one.place), el('td', {}, el('code', {}, one.kind)),
    el('td', {}, [one.required ? 'Needed.' : '', one.about].filter(Boolean).join(' '))));
  const head = el('tr', {}, ...['Name', 'In', 'Kind', 'What for'].map((name) => el('th', { scope: 'col' }, name)));
  return el('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': `Parameters of ${route.method} ${route.path}` },
    el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows)));
}

/** What goes well with its document, and what may go wrong in a list: it is the same document each time. */
function answers(all: Answer[]): HTMLElement[] {
  const bad = (one: Answer): boolean => /^[45]/.test(one.status);
  const good = all.filter((one) => !bad(one)).map((one) => el('div', { class: 'answer' },
    el('p', {}, status(one), ' ', one.about, one.kind ? el('span', { class: 'dim' }, ` ${one.kind}`) : null), one.shape ? code(one.shape) : null));
  const wrong = all.filter(bad).map((one) => el('li', {}, status(one), ' ', one.about));
  return wrong.length ? [...good, el('ul', { class: 'wrong' }, ...wrong)] : good;
}

function status(answer: Answer): HTMLElement {
  return el('b', { class: 'status', 'data-kind': answer.status[0] ?? '' }, answer.status);
}

function code(text: string): HTMLElement | null {
  return text ? el('pre', { tabindex: '0' }, el('code', {}, text)) : null;
}

function line(text: string): HTMLElement {
  const copy = el('button', { type: 'button', class: 'quiet' }, 'Copy');
  copy.addEventListener('click', () => {
    navigator.clipboard.writeText(text).then(() => { copy.textContent = 'Copied'; }, () => { copy.textContent = 'Select it, please'; });
  });
  return el('div', { class: 'line' }, el('pre', { tabindex: '0', 'data-testid': 'curl' }, el('code', {}, text)), copy);
}
