// The entrance: which page this address is.
import './style.css';
import { home } from './home';
import { watched } from './route';
import { watch } from './watch';

const main = document.querySelector<HTMLElement>('#main');
const id = watched(location.pathname);
if (main) {
  if (id) watch(main, id);
  else home(main);
}
