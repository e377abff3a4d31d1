// The shop's interface (docs/shop.md), as its pages use it.
import { ask } from '../session';

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
  images: string[];
  video: string | null;
  currency: string;
  variants: Variant[];
}

export interface Listed {
  id: string;
  title: string;
  image: string | null;
  from: number | null;
}

export interface Catalog {
  currency: string;
  products: Listed[];
  next?: string;
}

export interface Line {
  variant: string;
  quantity: number;
}

export interface Order {
  id: string;
  state: string;
  currency: string;
  total: number;
  tax: number;
  held_until_ms: number | null;
  created_ms: number;
  changed_ms: number;
  lines?: (Line & { title: string; price: number })[];
}

/** Whose prices are shown. */
export const MARKET = 'de';

export const products = (after?: string): Promise<Catalog> => ask(`/v1/shop/products?market=${MARKET}&limit=24${after ? `&after=${after}` : ''}`);
export const product = (id: string): Promise<Product> => ask(`/v1/shop/products/${encodeURIComponent(id)}?market=${MARKET}`);
export const stock = async (variant: string): Promise<number> => (await ask<{ available: number }>(`/v1/shop/stock/${variant}`)).available;

export const orders = (after?: string): Promise<{ orders: Order[]; next?: string }> => ask(`/v1/shop/orders?limit=20${after ? `&after=${after}` : ''}`);
export const order = (id: string): Promise<Order> => ask(`/v1/shop/orders/${encodeURIComponent(id)}`);
/** Orders, and holds the stock. */
export const place = (what: { lines: Line[] } | { cart: string }, key: string): Promise<Order> => ask('/v1/shop/orders', { method: 'POST', body: { market: MARKET, ...what }, key });
export const pay = (id: string, method: string): Promise<Order> => ask(`/v1/shop/orders/${id}/payment`, { method: 'POST', body: { method } });
export const channel = async (id: string): Promise<string> => (await ask<{ token: string }>(`/v1/shop/orders/${id}/channel`, { method: 'POST' })).token;

export const sold = ({ variants }: Product): Variant[] => variants.filter(({ price }) => price !== null);
