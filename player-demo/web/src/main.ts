// The entrance: which page this address is. What a page needs is loaded with it.
import './style.css';
import './apps.css';
import { connection } from './connection';
import { home } from './home';
import { mark } from './nav';
import { app, watched, type App } from './route';
import { elsewhere } from './session';
import { anew } from './unsaved';
import { trouble } from './views';
import { watch } from './watch';

type Page = (main: HTMLElement) => Promise<void> | void;

/** Pages that are loaded when they are gone to. */
const PAGES: Record<Exclude<App, 'videos'>, () => Promise<Page>> = {
  shop: () => import('./shop').then(({ shop }) => shop),
  chat: () => import('./chat').then(({ chat }) => chat),
  feed: () => import('./feed').then(({ feed }) => feed),
  api: () => import('./reference').then(({ reference }) => reference),
};

const main = document.querySelector<HTMLElement>('#main');
const id = watched(location.pathname);
const here = app(location.pathname);
mark(here);
connection();
elsewhere(anew);
if (main) {
  if (id) watch(main, id);
  else if (here === 'videos') home(main);
  else void open(main, PAGES[here]);
}

/** Shows a page, or what went wrong and a way to try again. */
async function open(place: HTMLElement, load: () => Promise<Page>): Promise<void> {
  const page = await load().catch(() => null);
  // A browser does not ask again for a script that it could not have.
  if (!page) return place.replaceChildren(trouble(new Error('This page could not be loaded.'), () => location.reload()));
  await begin(place, page);
}

async function begin(place: HTMLElement, page: Page): Promise<void> {
  try {
    await page(place);
  } catch (error) {
    place.replaceChildren(trouble(error as Error, () => {
      place.replaceChildren();
      mark(here);
      void begin(place, page);
    }));
  }
}
