// Live channels over one WebSocket to the edge. Every channel keeps its cursor: after a cut it goes on where it was.
import { backOff } from './pauses';
import { Pulse } from './pulse';
import { shownAt } from './versions';

export interface Frame {
  channel: string;
  seq: number;
  at_ms: number;
  data: Record<string, unknown> | null;
}

export interface Listening {
  hear: (frame: Frame) => void;
  /** What is true for a moment, and has no number. */
  aside: (said: Record<string, unknown>) => void;
  /** Something was missed: fetch what is now. */
  missed: () => void;
}

export interface Terms extends Partial<Listening> {
  /** The last number that is known; without it, what this page read of the channel's tag, else from now on. */
  after?: number;
  /** A token that names the channel, minted anew where it has run out; absent where anybody may listen. */
  token?: () => Promise<string>;
  /** Ends it. */
  until?: AbortSignal;
}

interface Channel {
  after: number | undefined;
  token: (() => Promise<string>) | undefined;
  listeners: Set<Listening>;
  /** How often in a row it was refused. */
  refused: number;
}

/** Whether what is shown is what is: `idle` where nobody listens. */
export type Link = 'idle' | 'connecting' | 'open' | 'lost';

/** Milliseconds before the first try after a cut, and at most. */
const PAUSE = [300, 8000] as const;
/** Milliseconds before a channel that was refused is asked for again, and at most. */
const AGAIN = [3000, 60_000] as const;
/** Channels that were left, of which it is known how far they were heard. */
const LEFT = 1000;

/** A page sees no pings. What is live is not called over a socket: an edge says so by itself, and with it that it is there. */
const QUESTION = { call: 'pulse', method: 'GET', path: '/v1/live' };

/** True where a refusal may pass: with another token, with room on the socket, or when the edge can again. Pure. */
export function passes({ status = 0, type = '' }: { status?: number; type?: string }, token: boolean): boolean {
  return token || status >= 500 || status === 429 || type.endsWith('too-many-channels');
}

class Live {
  private socket: WebSocket | null = null;
  private readonly channels = new Map<string, Channel>();
  private readonly left = new Map<string, number>();
  private readonly watchers = new Set<(link: Link) => void>();
  private pause: number = PAUSE[0];
  private retry = 0;
  private link: Link = 'idle';
  private readonly pulse = new Pulse(() => this.say(QUESTION), () => this.drop());

  constructor() {
    // Whoever is back, in the net or at the page, does not wait for the next try.
    globalThis.window?.addEventListener('online', () => this.back());
    globalThis.document?.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.back());
  }

  /** Listens to a channel, beside whoever does already; what is given back ends it. */
  listen(name: string, { after, token, until, hear = () => undefined, aside = () => undefined, missed = () => undefined }: Terms): () => void {
    if (until?.aborted) return () => undefined;
    const listener: Listening = { hear, aside, missed };
    const [shown, heard] = [shownAt(name), this.left.get(name)];
    const begin = after ?? (heard === undefined ? shown : Math.max(heard, shown ?? 0));
    const known = this.channels.get(name);
    if (known) {
      known.listeners.add(listener);
      known.token ??= token;
      if (begin !== undefined && known.after !== undefined && begin < known.after) queueMicrotask(missed);
    } else {
      const channel = { after: begin, token, listeners: new Set([listener]), refused: 0 };
      this.channels.set(name, channel);
      if (this.socket?.readyState === WebSocket.OPEN) void this.subscribe(name, channel);
      else this.open();
    }
    const end = () => this.end(name, listener);
    until?.addEventListener('abort', end, { once: true });
    return end;
  }

  /** Tells how the connection is, now and whenever that changes. */
  watch(tell: (link: Link) => void, until?: AbortSignal): void {
    this.watchers.add(tell);
    until?.addEventListener('abort', () => this.watchers.delete(tell), { once: true });
    tell(this.link);
  }

  private end(name: string, listener: Listening): void {
    const channel = this.channels.get(name);
    if (!channel?.listeners.delete(listener) || channel.listeners.size > 0) return;
    this.channels.delete(name);
    this.leave(name, channel.after);
    this.say({ unsubscribe: name });
  }

  /** Whoever listens again goes on where it was left. */
  private leave(name: string, after: number | undefined): void {
    this.left.delete(name);
    if (after !== undefined) this.left.set(name, after);
    if (this.left.size > LEFT) this.left.delete(this.left.keys().next().value as string);
  }

  private is(link: Link): void {
    if (this.link === link) return;
    this.link = link;
    for (const tell of this.watchers) tell(link);
  }

  /** What seems to be open may be so no more. */
  private back(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.pulse.ask();
    else this.open();
  }

  private open(): void {
    clearTimeout(this.retry);
    if (this.socket || this.channels.size === 0) return;
    if (this.link === 'idle') this.is('connecting');
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/live`);
    this.socket = socket;
    this.pulse.awaits();
    socket.addEventListener('open', () => {
      this.pulse.heard();
      this.pause = PAUSE[0];
      this.is('open');
      for (const [name, channel] of this.channels) void this.subscribe(name, channel);
    });
    socket.addEventListener('message', (event: MessageEvent<string>) => {
      if (this.socket !== socket) return;
      this.pulse.heard();
      this.take(JSON.parse(event.data) as Record<string, unknown>);
    });
    socket.addEventListener('close', () => this.socket === socket && this.lost());
  }

  private lost(): void {
    this.socket = null;
    this.pulse.stop();
    this.is(this.channels.size > 0 ? 'lost' : 'idle');
    this.retry = window.setTimeout(() => this.open(), this.pause * (0.5 + Math.random()));
    this.pause = Math.min(this.pause * 2, PAUSE[1]);
  }

  /** Gives up a socket at which nobody is: it would take minutes to close by itself. */
  private drop(): void {
    this.socket?.close();
    this.lost();
  }

  private async subscribe(name: string, { token }: Channel): Promise<void> {
    const shown = token && (await token().catch(() => null));
    const channel = this.channels.get(name);
    if (channel) this.say({ subscribe: name, ...(channel.after === undefined ? {} : { after: channel.after }), ...(shown ? { token: shown } : {}) });
  }

  private take(said: Record<string, unknown>): void {
    const name = String(said.subscribed ?? said.refused ?? said.channel ?? '');
    const channel = this.channels.get(name);
    if (!channel) return;
    if ('subscribed' in said) {
      channel.refused = 0;
      channel.after ??= Number(said.seq);
    } else if ('refused' in said) this.again(name, channel, (said.problem ?? {}) as { status?: number; type?: string });
    else if ('gap' in said) {
      channel.after = (said.gap as { to: number }).to;
      for (const { missed } of [...channel.listeners]) missed();
    } else if ('aside' in said) {
      for (const { aside } of [...channel.listeners]) aside(said.aside as Record<string, unknown>);
    } else if ('seq' in said) {
      const frame = said as unknown as Frame;
      channel.after = frame.seq;
      for (const { hear } of [...channel.listeners]) hear(frame);
    }
  }

  /** Tokens are good for minutes, and a socket that is full has room later: then it goes on. */
  private again(name: string, channel: Channel, problem: { status?: number; type?: string }): void {
    if (!passes(problem, channel.token !== undefined)) return;
    const pause = backOff(channel.refused, AGAIN);
    channel.refused += 1;
    window.setTimeout(() => {
      if (this.channels.get(name) === channel && this.socket?.readyState === WebSocket.OPEN) void this.subscribe(name, channel);
    }, pause);
  }

  private say(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

export const live = new Live();
