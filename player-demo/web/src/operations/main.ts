// The operations page: who comes in, and what is shown of the fleet.
import '../style.css';
import './operations.css';
import { el, say } from '../dom';
import { charts } from './charts';
import { type Frame, type Point, health, inWords } from './fleet';
import { login } from './login';
import { map } from './map';
import { nodes } from './nodes';
import { purge } from './purge';
import { quality } from './quality';
import { audit, configuration } from './records';
import { type Me, forget, fromAddress, whoami } from './session';
import { steering } from './steering';
import { follow } from './stream';
import { tiles } from './tiles';

/** Between two looks at what is not in the stream, in milliseconds. */
const LOOK_EVERY = 2000;

const main = document.querySelector<HTMLElement>('#main')!;
const who = document.querySelector<HTMLElement>('#who')!;

function enter(why: string | null): void {
  who.replaceChildren();
  login(main, why, operations);
}

function operations(me: Me): void {
  const state = el('span', { class: 'pill', role: 'status', 'data-testid': 'fleet-state' }, 'connecting');
  const leave = el('button', { type: 'button', class: 'quiet' }, 'Sign out');
  who.replaceChildren(state, el('span', { 'data-testid': 'me' }, `${me.name}, ${me.local ? 'reads only' : me.role}`), ...(me.local ? [] : [leave]));

  const row = tiles();
  const [graphs, world] = [charts(), map()];
  const [answers, done, fares] = [steering(), audit(), quality()];
  const config = configuration(me, () => void look());
  const table = nodes(me, () => void look());
  const lists = [answers, done, fares];
  const look = async () => {
    await Promise.allSettled([...lists, config].map((list) => list.renew()));
  };
  const local = me.local && el('p', { class: 'panel note' }, 'No operator is configured, so this page may read and change nothing. ', el('code', {}, 'sluice operator NAME'), ' makes one.');
  main.replaceChildren(
    el('h1', { class: 'hidden' }, 'Operations'),
    ...(local ? [local] : []),
    row.root,
    graphs.root,
    el('div', { class: 'halves' }, world.root, answers.root),
    table.root,
    fares.root,
    el('div', { class: 'halves' }, purge(me, () => void look()), done.root),
    config.root,
  );

  let version = -1;
  const stop = follow('/v1/fleet/live', {
    event: (name, data) => {
      if (name === 'history') return graphs.begin(data as Point[]);
      const frame = data as Frame;
      say(state, inWords(frame.nodes));
      state.className = `pill ${frame.nodes.length ? health(frame.nodes) : ''}`;
      row.show(frame);
      graphs.add(frame.now);
      world.show(frame);
      table.show(frame);
      if (version !== frame.config_version) void config.renew();
      version = frame.config_version;
    },
    live: (on) => {
      main.classList.toggle('stale', !on);
      if (!on) {
        say(state, 'cut off; trying again');
        state.className = 'pill bad';
      }
    },
    refused: (why) => end(why.message),
  });
  const timer = setInterval(() => document.hidden || lists.forEach((list) => void list.renew().catch(() => null)), LOOK_EVERY);
  void look();
  const end = (why: string | null) => {
    clearInterval(timer);
    stop();
    forget();
    enter(why);
  };
  leave.addEventListener('click', () => end(null));
}

fromAddress();
whoami().then(operations, () => enter(null));
