// The table of edges, sorted as one likes; draining and taking back.
import { el, say } from '../dom';
import { bytes } from '../format';
import { confirm } from './confirm';
import { type Frame, type Node, hitRatio, mbps, percent, perSecond } from './fleet';
import { type Me, ask, may } from './session';

interface Column {
  name: string;
  key: string;
  /** What it is sorted by. */
  by: (node: Node, frame: Frame) => string | number;
  text: (node: Node, frame: Frame) => string;
  /** Left away where there is little room. */
  wide?: boolean;
}

const behind = (node: Node, frame: Frame) => Math.max(0, frame.log_seq - node.log_seq);
const COLUMNS: Column[] = [
  { name: 'Edge', key: 'node', by: (n) => n.node, text: (n) => n.node },
  { name: 'Tier', key: 'tier', by: (n) => n.tier, text: (n) => n.tier, wide: true },
  { name: 'Site', key: 'site', by: (n) => n.site, text: (n) => n.site, wide: true },
  { name: 'State', key: 'state', by: (n) => n.state, text: (n) => n.state },
  { name: 'Req/s', key: 'requests', by: (n) => n.requests, text: (n) => perSecond(n.requests), wide: true },
  { name: 'Hits', key: 'hits', by: (n) => hitRatio(n) ?? -1, text: (n) => percent(hitRatio(n)), wide: true },
  { name: 'Sends', key: 'out', by: (n) => n.out_mbps, text: (n) => mbps(n.out_mbps) },
  { name: 'Fetches', key: 'in', by: (n) => n.in_mbps, text: (n) => mbps(n.in_mbps), wide: true },
  { name: 'Err/s', key: 'errors', by: (n) => n.errors, text: (n) => perSecond(n.errors), wide: true },
  { name: 'Load', key: 'load', by: (n) => n.load ?? -1, text: (n) => percent(n.load), wide: true },
  { name: 'Health', key: 'health', by: (n) => n.health ?? -1, text: (n) => percent(n.health), wide: true },
  { name: 'Cache', key: 'cache', by: (n) => n.cache_bytes, text: (n) => `${bytes(n.cache_bytes)} in ${n.cache_objects}`, wide: true },
  { name: 'Behind', key: 'behind', by: behind, text: (n, frame) => (n.state === 'gone' ? '–' : String(behind(n, frame))), wide: true },
  { name: 'Table', key: 'table', by: (n) => n.table_version, text: (n) => String(n.table_version), wide: true },
];
const NUMBERS_FROM = 4;

interface Row {
  root: HTMLTableRowElement;
  cells: HTMLElement[];
  button: HTMLButtonElement;
  node: Node;
}

export function nodes(me: Me, changed: () => void): { root: HTMLElement; show: (frame: Frame) => void } {
  const rows = new Map<string, Row>();
  let [sorted, down]: [Column, boolean] = [COLUMNS[0]!, false];
  let last: Frame | null = null;
  const body = el('tbody', {});
  const heads = COLUMNS.map((column, at) => {
    const button = el('button', { type: 'button', class: 'sort' }, column.name);
    button.addEventListener('click', () => {
      [sorted, down] = sorted === column ? [column, !down] : [column, at >= NUMBERS_FROM];
      mark();
      if (last) order(last);
    });
    return el('th', { scope: 'col', class: kind(column, at) }, button);
  });
  const mark = () => heads.forEach((head, at) => head.setAttribute('aria-sort', COLUMNS[at] === sorted ? (down ? 'descending' : 'ascending') : 'none'));
  mark();
  const table = el('table', { class: 'nodes' }, el('thead', {}, el('tr', {}, ...heads, el('th', { scope: 'col' }, el('span', { class: 'hidden' }, 'Actions')))), body);
  const box = el('div', { class: 'wide-scroll', tabindex: '0', role: 'region', 'aria-label': 'Edges' }, table);
  const empty = el('p', { class: 'dim', hidden: true }, 'No edge has reported yet.');

  const order = (frame: Frame) => {
    const sign = down ? -1 : 1;
    const wanted = [...rows.values()].sort((a, b) => {
      const [x, y] = [sorted.by(a.node, frame), sorted.by(b.node, frame)];
      return x === y ? a.node.node.localeCompare(b.node.node) : (x < y ? -1 : 1) * sign;
    });
    // What is moved loses the keyboard's focus.
    const busy = body.contains(document.activeElement);
    if (!busy && wanted.some((row, at) => body.children[at] !== row.root)) body.replaceChildren(...wanted.map((row) => row.root));
  };
  const show = (frame: Frame) => {
    last = frame;
    empty.hidden = frame.nodes.length > 0;
    const names = new Set(frame.nodes.map((node) => node.node));
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.root.remove();
      rows.delete(name);
    }
    for (const node of frame.nodes) {
      let row = rows.get(node.node);
      if (!row) {
        row = make(me, node, changed);
        rows.set(node.node, row);
        body.append(row.root);
      }
      fill(row, node, frame);
    }
    order(frame);
  };
  return { root: el('section', { class: 'panel', 'aria-label': 'Edges' }, el('h2', {}, 'Edges'), box, empty), show };
}

const kind = (column: Column, at: number) => `${at >= NUMBERS_FROM ? 'number' : ''} ${column.wide ? 'roomy' : ''}`.trim();

function make(me: Me, node: Node, changed: () => void): Row {
  const cells = COLUMNS.map((column, at) => (column.key === 'state' ? el('span', {}) : el(at === 0 ? 'strong' : 'span', {})));
  const button = el('button', { type: 'button', class: 'quiet', 'data-testid': `drain-${node.node}` }, 'Drain');
  button.disabled = !may(me, 'operator');
  if (button.disabled) button.title = 'This takes an operator';
  const root = el('tr', { 'data-node': node.node }, ...COLUMNS.map((column, at) => el('td', { class: kind(column, at) }, cells[at]!)), el('td', {}, button));
  const row: Row = { root, cells, button, node };
  button.addEventListener('click', () => {
    const { node: name, draining } = row.node;
    const text = draining ? `${name} takes part again: keys and viewers go to it.` : `${name} finishes what it has and gets nothing new. Its keys and viewers go to the others.`;
    confirm(`${draining ? 'Take back' : 'Drain'} ${name}?`, text, draining ? 'Take back' : 'Drain', async () => {
      await ask(`/v1/nodes/${name}/drain`, { method: draining ? 'DELETE' : 'POST' });
      changed();
    });
  });
  return row;
}

function fill(row: Row, node: Node, frame: Frame): void {
  row.node = node;
  COLUMNS.forEach((column, at) => say(row.cells[at]!, column.text(node, frame)));
  const state = row.cells[COLUMNS.findIndex((column) => column.key === 'state')]!;
  state.className = `pill ${node.state}`;
  row.root.dataset.state = node.state;
  say(row.button, node.draining ? 'Take back' : 'Drain');
  row.button.setAttribute('aria-label', `${row.button.textContent} ${node.node}`);
}
