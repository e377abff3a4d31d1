// The outline of the land, of Natural Earth (public domain) by world-atlas, as a path. TopoJSON: arcs in steps, shared by rings.
import topology from 'world-atlas/land-110m.json';

/** Units of the picture: 360 degrees wide; from 84 degrees north, where ships end, to 57 south, where nobody lives. */
export const [WIDTH, HEIGHT] = [1000, 392];
const TOP = 84;

export const x = (longitude: number): number => ((longitude + 180) / 360) * WIDTH;
export const y = (latitude: number): number => ((TOP - latitude) / 360) * WIDTH;

interface Topology {
  transform: { scale: number[]; translate: number[] };
  arcs: number[][][];
  objects: { land: { geometries: { arcs: number[][][] }[] } };
}

/** The land's outline, for the `d` of a path. */
export function land(): string {
  const { transform, arcs, objects } = topology as unknown as Topology;
  const [scale, translate] = [transform.scale, transform.translate];
  const lines = arcs.map((steps) => {
    let [east, north] = [0, 0];
    return steps.map(([dx, dy]) => {
      east += dx!;
      north += dy!;
      return [x(east * scale[0]! + translate[0]!), y(north * scale[1]! + translate[1]!)] as const;
    });
  });
  // An arc that is named by the complement of its number is walked backwards.
  const walk = (arc: number) => (arc >= 0 ? lines[arc]! : [...lines[~arc]!].reverse());
  return objects.land.geometries.flatMap((geometry) => geometry.arcs.flatMap((rings) => rings.flatMap((ring) => outlines(ring.flatMap(walk))))).join('');
}

/** A ring as paths. One that crosses the 180th meridian goes on beyond the edge, and is there a second time, a world aside. */
function outlines(points: (readonly [number, number])[]): string[] {
  // What is all below the picture, the south, is left away.
  if (points.every(([, north]) => north > HEIGHT)) return [];
  let [aside, before] = [0, points[0]![0]];
  const whole = points.map(([east, north]) => {
    if (Math.abs(east - before) > WIDTH / 2) aside += east < before ? WIDTH : -WIDTH;
    before = east;
    return [east + aside, north] as const;
  });
  const path = (by: number) => `M${whole.map(([east, north]) => `${(east + by).toFixed(1)},${north.toFixed(1)}`).join('L')}Z`;
  const all = [path(0)];
  if (whole.some(([east]) => east > WIDTH)) all.push(path(-WIDTH));
  if (whole.some(([east]) => east < 0)) all.push(path(WIDTH));
  return all;
}
