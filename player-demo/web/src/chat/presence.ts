// Who is here, and who is typing. It is asked for: nobody is told.
import { here, presence } from './api';

/** Milliseconds between two signs of life, as the chat wants them. */
const BEAT = 20_000;
/** Milliseconds between two looks at who types in the conversation that is open, and between two words that one does. */
const TYPING = { look: 3000, say: 5000 } as const;
/** Members of a conversation at most of whom it is asked who types. */
const FEW = 30;

/** Says that one is here, and tells who else is, until the page is left. */
export function beat(of: () => string[], tell: (online: Set<string>) => void): void {
  const round = async () => {
    if (document.visibilityState !== 'visible') return;
    await here();
    const all = of();
    if (all.length > 0) tell(new Set((await presence(all)).filter(({ online }) => online).map(({ account }) => account)));
  };
  const go = () => void round().catch(() => undefined);
  go();
  window.setInterval(go, BEAT);
  document.addEventListener('visibilitychange', go);
}

/** Tells who types in a conversation. */
export function typists(room: string, others: () => string[], tell: (accounts: string[]) => void, until: AbortSignal): void {
  const timer = window.setInterval(() => {
    const of = others();
    if (document.visibilityState !== 'visible' || of.length === 0 || of.length > FEW) return;
    void presence(of, room).then((all) => !until.aborted && tell(all.filter(({ typing }) => typing).map(({ account }) => account)), () => undefined);
  }, TYPING.look);
  until.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** Says that one types, not more often than it is worth. */
export function typing(room: string): () => void {
  let said = 0;
  return () => {
    if (Date.now() - said < TYPING.say) return;
    said = Date.now();
    void here(room).catch(() => undefined);
  };
}
