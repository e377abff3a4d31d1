// The feed: a home page whose posts the edge has put in, profiles, conversations; and counts that are pushed.
import { el } from '../dom';
import { me } from '../session';
import { invitation } from '../sign-in';
import { empty, views, type View } from '../views';
import { homePage } from './home';
import { Mine } from './mine';
import { profilePage } from './profile';
import { threadPage } from './thread';

/** A page of the feed, and what is known of who looks at it. */
export interface Feeding extends View {
  mine: Mine;
}

export async function feed(main: HTMLElement): Promise<void> {
  document.title = 'Feed · Sluice';
  const mine = new Mine(await me());
  views(main, (place, view) => page(place, { ...view, mine }));
}

function page([room, name]: string[], at: Feeding): Promise<void> | void {
  if (room === 'users' && name) return profilePage(name, at);
  if (room === 'posts' && name) return threadPage(name, at);
  document.title = 'Feed · Sluice';
  if (room) return void at.main.append(empty('Nothing here', 'The feed has no such page.', el('a', { class: 'button', href: '/feed' }, 'To the feed')));
  if (at.mine.me) return homePage(at);
  at.main.append(el('div', { class: 'column' }, el('h1', {}, 'Feed'), invitation('Sign in to follow people, to post, and to like.')));
}
