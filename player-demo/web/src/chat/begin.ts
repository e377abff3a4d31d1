// Beginning a conversation: with somebody, with some, or in a channel that anybody may join.
import { busy, button, el, field, say } from '../dom';
import { counted } from '../format';
import { unique } from '../unique';
import { channels, join, make } from './api';

type Kind = 'direct' | 'group' | 'channel' | 'private';

const KINDS: [Kind, string, string][] = [
  ['direct', 'One person', 'Just the two of you.'],
  ['group', 'A group', 'Whoever is in it may invite others.'],
  ['channel', 'A channel', 'Whoever wants to may join.'],
  ['private', 'A private channel', 'Its owners invite.'],
];

const handles = (text: string): string[] => text.split(/[\s,]+/).map((one) => one.replace(/^@/, '')).filter(Boolean).map((one) => `@${one}`);

/** Opens the dialog; `done` is told the conversation. */
export function begin(done: (id: string) => void): void {
  const with_ = el('input', { id: 'talk-to', placeholder: 'ann', maxlength: '33', autocapitalize: 'none', spellcheck: 'false', autocomplete: 'off', 'data-testid': 'talk-to' });
  const name = el('input', { id: 'room-name', maxlength: '100', 'data-testid': 'room-name' });
  const who = el('input', { id: 'room-members', placeholder: 'ann, ben', autocapitalize: 'none', spellcheck: 'false', autocomplete: 'off', 'data-testid': 'room-members' });
  const hint = el('p', { class: 'dim', role: 'status' });
  const [one, named, some] = [field('Whose handle', with_), field('Name', name), field('Who is in it from the beginning (handles)', who)];
  const wrong = el('p', { class: 'why', role: 'alert' });
  const go = el('button', { type: 'submit', 'data-testid': 'begin' }, 'Begin');
  const cancel = el('button', { type: 'button', class: 'quiet' }, 'Cancel');
  const open = el('section', { 'aria-label': 'Channels' });
  let kind: Kind = 'direct';
  const choose = (to: Kind) => {
    kind = to;
    one.hidden = to !== 'direct';
    named.hidden = some.hidden = to === 'direct';
    with_.required = to === 'direct';
    name.required = to !== 'direct';
    say(hint, KINDS.find(([of]) => of === to)?.[2] ?? '');
  };
  const kinds = KINDS.map(([of, words]) => {
    const input = el('input', { type: 'radio', name: 'kind', value: of, checked: of === kind, 'data-testid': `kind-${of}` });
    input.addEventListener('change', () => choose(of));
    return el('label', { class: 'choice' }, input, words);
  });
  const form = el('form', { method: 'dialog' }, el('h2', {}, 'New conversation'), el('fieldset', { class: 'choices two' }, el('legend', { class: 'hidden' }, 'Kind'), ...kinds), hint, one, named, some, wrong, el('div', { class: 'actions' }, go, cancel), open);
  const dialog = el('dialog', { class: 'edit', 'aria-label': 'New conversation' }, form);
  const end = (id: string) => {
    dialog.close();
    done(id);
  };
  // Sent again after a cut it is the same conversation.
  let key = unique();
  form.addEventListener('input', () => (key = unique()));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const body = kind === 'direct' ? { kind, with: handles(with_.value)[0] ?? '' } : { kind, name: name.value.trim(), members: handles(who.value) };
    void busy(go, wrong, () => make(body, key).then(({ id }) => end(id)));
  });
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  choose(kind);
  document.body.append(dialog);
  dialog.showModal();
  with_.focus();
  void channels().then(({ channels: all }) => {
    if (all.length === 0) return;
    const row = (id: string, words: string, members: number) => el('li', {}, el('span', {}, `# ${words}`), el('span', { class: 'dim' }, counted(members, 'member')), button('Join', { class: 'quiet push', 'data-testid': 'join' }, () => join(id).then(() => end(id)), wrong));
    open.append(el('h3', {}, 'Or join a channel'), el('ul', { class: 'people' }, ...all.map((channel) => row(channel.id, channel.name, channel.members))));
  }, () => undefined);
}
