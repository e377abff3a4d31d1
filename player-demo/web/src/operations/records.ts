// What operators did, and the configuration in its versions, with a way back.
import { el } from '../dom';
import { confirm, sheet } from './confirm';
import { type Me, ask, may, post } from './session';

/** Entries of each list. */
const MOST = 12;

interface Entry {
  at_ms: number;
  who: string;
  role: string;
  action: string;
  subject: string;
}

interface Version {
  version: number;
  at_ms: number;
  who: string;
  note: string;
}

const time = (ms: number) => el('time', { class: 'dim', datetime: new Date(ms).toISOString() }, new Date(ms).toLocaleString([], { dateStyle: 'short', timeStyle: 'medium', hourCycle: 'h23' }));

export function audit(): { root: HTMLElement; renew: () => Promise<void> } {
  const list = el('ul', { class: 'records', 'data-testid': 'audit' });
  const none = el('p', { class: 'dim' }, 'Nothing was done yet.');
  const renew = async () => {
    const { entries } = await ask<{ entries: Entry[] }>(`/v1/audit?limit=${MOST}`);
    none.hidden = entries.length > 0;
    list.replaceChildren(...entries.map((one) => el('li', {}, el('span', {}, el('strong', {}, one.who), ` ${one.action} `, el('span', { class: 'subject' }, one.subject)), time(one.at_ms))));
  };
  return { root: el('section', { class: 'panel', 'aria-label': 'Audit' }, el('h2', {}, 'What operators did'), list, none), renew };
}

export function configuration(me: Me, changed: () => void): { root: HTMLElement; renew: () => Promise<void> } {
  const now = el('pre', { class: 'document', tabindex: '0', role: 'region', 'aria-label': 'The configuration in force', 'data-testid': 'config' });
  const list = el('ul', { class: 'records', 'data-testid': 'versions' });
  const renew = async () => {
    const [document, { versions }] = await Promise.all([ask<{ version: number }>('/v1/config'), ask<{ versions: Version[] }>(`/v1/config/versions?limit=${MOST}`)]);
    now.textContent = JSON.stringify(document, null, 2);
    list.replaceChildren(...versions.map((version) => line(version, version.version === document.version)));
  };
  const line = ({ version, at_ms, who, note }: Version, inForce: boolean) => {
    const show = el('button', { type: 'button', class: 'quiet', 'aria-label': `Show version ${version}` }, 'Show');
    show.addEventListener('click', () => {
      void ask<unknown>(`/v1/config/versions/${version}`).then((old) => sheet(`Version ${version}`, el('pre', { class: 'document', tabindex: '0' }, JSON.stringify(old, null, 2))));
    });
    const back = el('button', { type: 'button', class: 'quiet', 'aria-label': `Roll back to version ${version}`, 'data-testid': `rollback-${version}` }, 'Roll back');
    back.addEventListener('click', () =>
      confirm(`Roll back to version ${version}?`, 'What was in force then is in force again, as a new version, everywhere at once.', 'Roll back', async () => {
        await post('/v1/config/rollback', { version });
        changed();
      }),
    );
    return el('li', {}, el('span', {}, el('strong', {}, `Version ${version}`), ` ${who} `, el('span', { class: 'subject' }, note), inForce && el('span', { class: 'pill ready' }, 'in force')), el('span', { class: 'actions' }, time(at_ms), show, may(me, 'admin') && !inForce && back));
  };
  return { root: el('section', { class: 'panel', 'aria-label': 'Configuration' }, el('h2', {}, 'Configuration'), now, list), renew };
}
