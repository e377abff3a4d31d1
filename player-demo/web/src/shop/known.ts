// What a line of a basket or of an order is of. Lines name variants; the catalog says whose they are.
import { Refused } from '../session';
import { sold, variant, type OneVariant, type Product, type Variant } from './api';

/** A variant, and what is said of its product. */
export interface Known {
  product: OneVariant['product'];
  variant: Variant;
  currency: string;
}

const known = new Map<string, Known>();

/** Forgets all of it: from now on things are called otherwise. */
export const forget = (): void => known.clear();

/** What it is called: as its product, and which one where there are others. */
export const named = ({ product, variant }: Known, title = variant.title): string => (product.others ? `${product.title}, ${title}` : product.title);

/** What a line of an order is called: as it was bought, after its product where that is known. */
export function lineName(all: Map<string, Known>, { variant, title }: { variant: string; title: string }): string {
  const of = all.get(variant);
  return of ? named(of, title) : title;
}

/** Remembers a product's variants. */
export function learn(one: Product): Product {
  const { id, title, images, currency } = one;
  const product = { id, title, image: images[0] ?? null, others: one.variants.length > 1 };
  for (const variant of sold(one)) known.set(variant.id, { product, variant, currency });
  return one;
}

/** The variants that are sold of those that are asked for: one question for each that is not known. */
export async function find(variants: string[]): Promise<Map<string, Known>> {
  const missing = [...new Set(variants)].filter((id) => !known.has(id));
  await Promise.all(missing.map(ask));
  return known;
}

async function ask(id: string): Promise<void> {
  const one = await variant(id).catch((error: unknown) => {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  });
  if (!one || one.price === null) return;
  const { product, currency, ...itself } = one;
  known.set(id, { product, variant: itself, currency });
}
