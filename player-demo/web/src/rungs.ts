// Variants of one picture differ in their sound: for people they are one. Pure.

/** What is looked at of a variant. */
export interface Variant {
  /** Its playlist, which is the rung's. */
  uri: string;
  bitrate: number;
  width: number;
  height: number;
  audioGroups?: (string | undefined)[];
}

export interface Rung {
  /** As paths name it. */
  name: string;
  width: number;
  height: number;
  /** Of the variant that needs least. */
  bitrate: number;
}

/** The rung whose playlist this is. */
const named = (variant: Variant): string => new URL(variant.uri, 'http://here/').pathname.split('/').at(-2) ?? '';

/** Each rung once, the best first. */
export function rungs(variants: Variant[]): Rung[] {
  const all = new Map<string, Rung>();
  for (const variant of variants) {
    const name = named(variant);
    const { width, height, bitrate } = variant;
    const before = all.get(name);
    if (!before || bitrate < before.bitrate) all.set(name, { name, width, height, bitrate });
  }
  return [...all.values()].sort((a, b) => b.bitrate - a.bitrate);
}

/** The place of a rung's variant: the one with this group of sound, if there is one; -1 of a rung that is gone. */
export function variant(variants: Variant[], rung: string, group: string | undefined): number {
  const same = variants.findIndex((one) => named(one) === rung && group !== undefined && (one.audioGroups ?? []).includes(group));
  return same >= 0 ? same : variants.findIndex((one) => named(one) === rung);
}
