// Charts of the last ten minutes.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { el } from '../dom';
import { type Point, hitRatio, mbps, percent, perSecond } from './fleet';

/** Points that are kept, one a second; the control plane keeps as many. */
const MOST = 600;
const HEIGHT = 180;
const COLOURS = ['#38c6f4', '#67e3a1', '#ffc765', '#b9a2ff', '#ff8f98', '#6fa8ff', '#f49ad8', '#a5d65b', '#57d5cf', '#e6a06b', '#c2cbe0', '#d3d66b', '#93a1b8'];
const DIM = '#93a1b8';
const LINE = '#1e2736';

interface Chart {
  title: string;
  key: string;
  /** What is drawn of a point, by name. */
  of: (point: Point) => Record<string, number | null>;
  /** Names that are always there. */
  always: string[];
  words: (value: number) => string;
  /** The upper end, where it is fixed. */
  top?: number;
}

const CHARTS: Chart[] = [
  { title: 'Egress by site', key: 'egress', of: (point) => point.sites, always: [], words: mbps },
  { title: 'Hit ratio', key: 'hits', of: (point) => ({ 'hit ratio': hitRatio(point) }), always: ['hit ratio'], words: percent, top: 1 },
  { title: 'Requests and errors a second', key: 'requests', of: ({ requests, errors }) => ({ requests, errors }), always: ['requests', 'errors'], words: perSecond },
  { title: 'Steering by reason, a second', key: 'steering', of: (point) => point.steered, always: ['new', 'stays'], words: perSecond },
];

export interface Charts {
  root: HTMLElement;
  begin: (history: Point[]) => void;
  add: (point: Point) => void;
}

export function charts(): Charts {
  let points: Point[] = [];
  const made = CHARTS.map((chart) => drawn(chart));
  const draw = () => made.forEach((chart) => chart.draw(points));
  return {
    root: el('section', { class: 'charts', 'aria-label': 'The last ten minutes' }, ...made.map((one) => one.root)),
    begin: (history) => {
      points = history.slice(-MOST);
      draw();
    },
    add: (point) => {
      if (points.length && points[points.length - 1]!.at_ms >= point.at_ms) return;
      points.push(point);
      if (points.length > MOST) points.shift();
      draw();
    },
  };
}

function drawn(chart: Chart): { root: HTMLElement; draw: (points: Point[]) => void } {
  const box = el('div', { class: 'plot', role: 'img', 'data-testid': `chart-${chart.key}` });
  const legend = el('ul', { class: 'legend' });
  const root = el('figure', { class: 'panel chart' }, el('figcaption', {}, el('h2', {}, chart.title), legend), box);
  let plot: uPlot | null = null;
  let names: string[] = [];
  new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);

  const draw = (points: Point[]) => {
    const seen = new Set(chart.always);
    for (const point of points) for (const name of Object.keys(chart.of(point))) seen.add(name);
    const now = [...seen];
    const rows = points.map((point) => chart.of(point));
    // A reason that nobody was steered for in a second is none; a ratio of nothing is a gap.
    const column = (name: string) => rows.map((row) => (name in row ? row[name]! : 0));
    const data = [points.map((point) => point.at_ms / 1000), ...now.map(column)] as uPlot.AlignedData;
    if (!plot || now.join('\n') !== names.join('\n')) {
      names = now;
      plot?.destroy();
      plot = new uPlot(options(chart, names, box.clientWidth || 400), data, box);
    } else plot.setData(data);
    const newest = rows.at(-1) ?? {};
    const told = names.map((name) => [name, newest[name] ?? (name in newest ? null : 0)] as const);
    legend.replaceChildren(...told.map(([name, value], at) => entry(name, value === null ? '–' : chart.words(value), at)));
    box.setAttribute('aria-label', `${chart.title}, now: ${told.map(([name, value]) => `${name} ${value === null ? 'nothing' : chart.words(value)}`).join(', ') || 'nothing'}`);
    box.dataset.points = String(points.length);
    box.dataset.most = String(Math.max(0, ...rows.flatMap((row) => Object.values(row).map((value) => value ?? 0))));
  };
  return { root, draw };
}

function entry(name: string, value: string, at: number): HTMLElement {
  const mark = el('span', { class: 'mark', 'aria-hidden': 'true' });
  mark.style.background = COLOURS[at % COLOURS.length]!;
  return el('li', {}, mark, `${name} `, el('strong', {}, value));
}

function options(chart: Chart, names: string[], width: number): uPlot.Options {
  const axis = { stroke: DIM, grid: { stroke: LINE, width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
  const clock = (_: uPlot, times: number[]) => times.map((at) => new Date(at * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    padding: [10, 8, 0, 0],
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, chart.top ? chart.top * 1.04 : Math.max(most * 1.15, 0.1)] } },
    axes: [
      { ...axis, values: clock, space: 80, size: 30, gap: 8 },
      { ...axis, size: 62, space: 36, values: (_, values) => values.map((value) => short(chart.words(value))) },
    ],
    series: [
      {},
      ...names.map((name, at) => ({
        label: name,
        stroke: COLOURS[at % COLOURS.length],
        width: 2,
        fill: `${COLOURS[at % COLOURS.length]}1f`,
        points: { show: false },
      })),
    ],
  };
}

/** A number of an axis: without what its title says. */
const short = (text: string) => text.replace('bit/s', '').replace('.00', '').replace('.0', '');
