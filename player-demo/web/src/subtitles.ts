// Text beside a video: chosen while it plays, added and deleted below it.
import Hls from 'hls.js';
import { addText, removeText, texts, type Text, type Video } from './api';
import { el, say } from './dom';

const KINDS: [Text['kind'], string][] = [['subtitles', 'Subtitles'], ['captions', 'Captions'], ['forced', 'Forced'], ['chapters', 'Chapters']];

/** How long edges take to hear of a change, at most, in milliseconds. */
const SETTLES = 500;

/** A choice of the tracks that a player has. */
export function chooser(hls: Hls): HTMLElement {
  const select = el('select', { id: 'texts', 'data-testid': 'text-select' });
  const root = el('div', { class: 'field', hidden: true }, el('label', { for: 'texts' }, 'Subtitles'), select);
  const draw = () => {
    const options = hls.subtitleTracks.map((track, index) => el('option', { value: String(index) }, track.name));
    select.replaceChildren(el('option', { value: '-1' }, 'Off'), ...options);
    select.value = String(hls.subtitleTrack);
    root.hidden = options.length === 0;
  };
  hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, draw);
  hls.on(Hls.Events.SUBTITLE_TRACK_SWITCH, () => {
    select.value = String(hls.subtitleTrack);
  });
  select.addEventListener('change', () => {
    hls.subtitleTrack = Number(select.value);
    hls.subtitleDisplay = true;
  });
  return root;
}

/** The list of a video's text, and the form that adds to it; `changed` is called when it is another. */
export function panel(video: Video, at: (url: string) => string, changed: () => void): HTMLElement {
  const rows = el('ul', {});
  const why = el('p', { class: 'why', role: 'alert' });
  const language = el('input', { id: 'text-language', value: (navigator.language || 'en').split('-')[0] ?? 'en', maxlength: '35', size: '6', 'data-testid': 'text-language' });
  const kind = el('select', { id: 'text-kind' }, ...KINDS.map(([value, text]) => el('option', { value }, text)));
  const file = el('input', { type: 'file', id: 'text-file', class: 'hidden', accept: '.srt,.vtt', 'data-testid': 'text-file' });
  // What was just changed is known here before edges hear of it.
  let all: Text[] = [];
  const other = (one: Text) => (each: Text) => each.kind !== one.kind || each.language !== one.language;
  const draw = (now: Text[]) => {
    all = now;
    rows.replaceChildren(...all.map((one) => row(one, video, at, () => gone(one), why)));
  };
  const gone = (one: Text) => {
    draw(all.filter(other(one)));
    window.setTimeout(changed, SETTLES);
  };
  file.addEventListener('change', () => {
    const sent = file.files?.[0];
    if (!sent) return;
    file.value = '';
    say(why, '');
    const named = label(language.value);
    addText(video.id, kind.value, language.value.trim(), named, sent).then(
      (made) => {
        draw([...all.filter(other(made)), made]);
        window.setTimeout(changed, SETTLES);
      },
      (error: Error) => say(why, error.message),
    );
  });
  texts(video.id).then(draw, (error: Error) => say(why, error.message));
  const form = el(
    'div',
    { class: 'text-form' },
    el('div', { class: 'field' }, el('label', { for: 'text-language' }, 'Language'), language),
    el('div', { class: 'field' }, el('label', { for: 'text-kind' }, 'Kind'), kind),
    el('label', { class: 'button', for: 'text-file' }, 'Add .srt or .vtt'),
    file,
  );
  return el('section', { class: 'links texts', 'aria-label': 'Subtitles' }, el('h2', {}, 'Subtitles and chapters'), rows, form, why);
}

function row(one: Text, video: Video, at: (url: string) => string, gone: () => void, why: HTMLElement): HTMLElement {
  const drop = el('button', { type: 'button', class: 'quiet', 'aria-label': `Delete ${one.label}` }, 'Delete');
  drop.addEventListener('click', () => {
    drop.disabled = true;
    removeText(video.id, one).then(gone, (error: Error) => say(why, error.message));
  });
  const kind = KINDS.find(([name]) => name === one.kind)?.[1] ?? one.kind;
  const facts = [kind, one.language, `${one.cues} cue${one.cues === 1 ? '' : 's'}`, one.embedded && 'from the file'].filter(Boolean).join(' · ');
  const save = el('a', { class: 'button quiet-link', href: at(one.url), download: `${video.title}.${one.language}.vtt` }, 'Download');
  return el('li', { 'data-testid': 'text-row' }, el('span', { class: 'text-name' }, el('strong', {}, one.label), el('span', { class: 'dim' }, facts)), el('span', { class: 'actions' }, save, drop));
}

/** A language as its own speakers call it. */
function label(tag: string): string | null {
  try {
    const name = new Intl.DisplayNames([tag], { type: 'language' }).of(tag);
    return name && name !== tag ? name.charAt(0).toLocaleUpperCase(tag) + name.slice(1) : null;
  } catch {
    return null;
  }
}
