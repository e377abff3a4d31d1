// What a line of a basket or of an order is of. Lines name variants; the catalog says whose they are.
import { product, products, sold, type Product, type Variant } from './api';

export interface Known {
  product: Product;
  variant: Variant;
}

/** Pages of the catalog that are looked through for a variant. */
const PAGES = 8;

const known = new Map<string, Known>();

/** Remembers a product's variants. */
export function learn(one: Product): Product {
  for (const variant of sold(one)) known.set(variant.id, { product: one, variant });
  return one;
}

/** The variants that can be found of those that are asked for. */
export async function find(variants: string[]): Promise<Map<string, Known>> {
  const missing = () => variants.some((id) => !known.has(id));
  let after: string | undefined;
  for (let page = 0; page < PAGES && missing(); page += 1) {
    const { products: listed, next } = await products(after);
    const all = await Promise.all(listed.map(({ id }) => product(id).catch(() => null)));
    for (const one of all) if (one) learn(one);
    if (!next) break;
    after = next;
  }
  return known;
}
