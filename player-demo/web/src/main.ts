// The entrance: which page this address is. What a page needs is loaded with it.
import './style.css';
import './apps.css';
import { connection } from './connection';
import { home } from './home';
import { mark } from './nav';
import { app, watched } from './route';
import { watch } from './watch';

const main = document.querySelector<HTMLElement>('#main');
const id = watched(location.pathname);
const here = app(location.pathname);
mark(here);
connection();
if (main) {
  if (id) watch(main, id);
  else if (here === 'shop') void import('./shop').then(({ shop }) => shop(main));
  else if (here === 'chat') void import('./chat').then(({ chat }) => chat(main));
  else if (here === 'feed') void import('./feed').then(({ feed }) => feed(main));
  else if (here === 'api') void import('./reference').then(({ reference }) => reference(main));
  else home(main);
}
