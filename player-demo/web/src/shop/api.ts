// The shop's interface (docs/shop.md), as its pages use it.
import { ask } from '../session';
import { wanted } from './language';
import type { Standing } from './line';
import type { Parcel } from './parcels';

export interface Variant {
  id: string;
  sku: string;
  title: string;
  price: number | null;
}

export interface Product {
  id: string;
  title: string;
  description: string;
  /** Of the texts; absent where they are as they were first written. */
  language?: string;
  category: string | null;
  images: string[];
  video: string | null;
  currency: string;
  variants: Variant[];
}

/** A variant by itself, and what it is one of. */
export interface OneVariant extends Variant {
  currency: string;
  product: { id: string; title: string; image: string | null; others: boolean };
}

export interface Listed {
  id: string;
  title: string;
  language?: string;
  image: string | null;
  from: number | null;
}

export interface Catalog {
  currency: string;
  products: Listed[];
  next?: string;
}

export interface FacetValue {
  value: string;
  count: number;
  chosen: boolean;
}

/** What products can be told apart by, and how many one would see having chosen it. */
export interface Facets {
  categories: FacetValue[];
  options: { name: string; values: FacetValue[] }[];
  price: { min: number | null; max: number | null; ranges: { from: number; to: number; count: number }[] };
  in_stock: number;
}

export interface Found extends Catalog {
  total: number;
  facets: Facets;
}

export interface Line {
  variant: string;
  quantity: number;
}

export interface Order {
  id: string;
  state: string;
  /** Why it ended without a sale. */
  reason?: string;
  currency: string;
  total: number;
  tax: number;
  held_until_ms: number | null;
  created_ms: number;
  changed_ms: number;
  lines?: (Line & { title: string; price: number })[];
  /** What of it was sent. */
  parcels?: Parcel[];
}

/** Whose prices are shown. */
export const MARKET = 'de';

/** Whose prices are shown, and in which language texts are, as an address says it. */
function here(query = new URLSearchParams()): string {
  query.set('market', MARKET);
  const language = wanted();
  if (language) query.set('language', language);
  return query.toString();
}

/** Products by words and facets (`GET /v1/shop/search`); `cursor` is a page's `next`. */
export const search = (asked: URLSearchParams, cursor?: string): Promise<Found> => {
  const query = new URLSearchParams(asked);
  if (cursor) query.set('cursor', cursor);
  return ask(`/v1/shop/search?${here(query)}`);
};
export const product = (id: string): Promise<Product> => ask(`/v1/shop/products/${encodeURIComponent(id)}?${here()}`);
export const variant = (id: string): Promise<OneVariant> => ask(`/v1/shop/variants/${encodeURIComponent(id)}?${here()}`);
export const stock = async (variant: string): Promise<number> => (await ask<{ available: number }>(`/v1/shop/stock/${variant}`)).available;

export const orders = (after?: string): Promise<{ orders: Order[]; next?: string }> => ask(`/v1/shop/orders?limit=20${after ? `&after=${after}` : ''}`);
export const order = (id: string): Promise<Order> => ask(`/v1/shop/orders/${encodeURIComponent(id)}`);
/** Orders, and holds the stock; past waiting rooms with admissions to them. */
export const place = (what: { lines: Line[] }, key: string, admissions: string[] = []): Promise<Order> =>
  ask('/v1/shop/orders', { method: 'POST', body: { market: MARKET, ...what }, key, fields: admissions.length > 0 ? { 'sluice-admission': admissions.join(', ') } : {} });

/** Gets in the line of a waiting room. */
export const ticket = (room: string, signal: AbortSignal): Promise<{ ticket: string }> => ask(`/v1/rooms/${room}/tickets`, { method: 'POST', signal });
/** Where a ticket is, as soon as something becomes of it, or after `wait` seconds, ten at most. */
export const standing = (room: string, of: string, wait: number, signal: AbortSignal): Promise<Standing> => ask(`/v1/rooms/${room}/tickets/${of}?wait=${wait}`, { signal });
export const pay = (id: string, method: string): Promise<Order> => ask(`/v1/shop/orders/${id}/payment`, { method: 'POST', body: { method } });
/** It is not wanted any more. */
export const cancel = (id: string, key: string): Promise<Order> => ask(`/v1/shop/orders/${id}/cancel`, { method: 'POST', key });
export const channel = async (id: string): Promise<string> => (await ask<{ token: string }>(`/v1/shop/orders/${id}/channel`, { method: 'POST' })).token;

export const sold = ({ variants }: Product): Variant[] => variants.filter(({ price }) => price !== null);
