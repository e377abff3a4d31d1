// A little help to make elements. Text is always text.

export type Child = Node | string | null | undefined | false;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean | EventListener | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((c): c is Node | string => c !== null && c !== undefined && c !== false));
  return node;
}

/** Changes a text only when it differs, so that readers are not told twice. */
export function say(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** A button with what it does. It does it once at a time; what goes wrong is said in `wrong`, if there is a place. */
export function button(
  words: Child | Child[],
  attributes: Record<string, string | boolean>,
  act: () => Promise<unknown> | void,
  wrong?: HTMLElement,
): HTMLButtonElement {
  const node = el('button', { type: 'button', ...attributes }, ...(Array.isArray(words) ? words : [words]));
  node.addEventListener('click', () => void busy(node, wrong, act));
  return node;
}

/** Holds a button while something is done. */
export async function busy(node: HTMLButtonElement, wrong: HTMLElement | undefined, act: () => Promise<unknown> | void): Promise<void> {
  if (node.disabled) return;
  if (wrong) say(wrong, '');
  let focused = false;
  try {
    const doing = act();
    if (!doing) return;
    focused = document.activeElement === node;
    node.disabled = true;
    await doing;
  } catch (error) {
    if (wrong) say(wrong, (error as Error).message);
  } finally {
    node.disabled = false;
    // What is disabled loses the focus; whoever has gone on meanwhile keeps it.
    if (focused && document.activeElement === document.body) node.focus({ preventScroll: true });
  }
}

/** A labelled input. */
export function field<T extends HTMLElement>(label: string, input: T, hint?: string): HTMLElement {
  return el('div', { class: 'field' }, el('label', { for: input.id }, label), input, hint ? el('span', { class: 'dim' }, hint) : null);
}
