// The colour that a picture has on the whole, from its BlurHash (blurha.sh): what stands in its place until it is there. Pure.

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~';

/** The average colour as CSS has it; null for what is no BlurHash. */
export function average(blur: string): string | null {
  if (blur.length < 6) return null;
  let value = 0;
  for (const letter of blur.slice(2, 6)) {
    const digit = DIGITS.indexOf(letter);
    if (digit < 0) return null;
    value = value * 83 + digit;
  }
  return value > 0xffffff ? null : `#${value.toString(16).padStart(6, '0')}`;
}
