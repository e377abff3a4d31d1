/** The video that a path watches, or null. */
export function watched(path: string): string | null {
  return /^\/watch\/([0-9a-z]{1,20})\/?$/.exec(path)?.[1] ?? null;
}

export type App = 'videos' | 'shop' | 'chat' | 'feed' | 'api';

/** The app that a path belongs to. */
export function app(path: string): App {
  const first = path.split('/')[1];
  return first === 'shop' || first === 'chat' || first === 'feed' || first === 'api' ? first : 'videos';
}

/** What is below an app's own path: `/shop/orders/7` is `['orders', '7']`. What is no text names nothing. */
export function below(path: string): string[] {
  try {
    return path.split('/').slice(2).filter(Boolean).map(decodeURIComponent);
  } catch {
    return ['?'];
  }
}
