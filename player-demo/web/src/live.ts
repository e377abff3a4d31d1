// Live channels over one WebSocket to the edge. Every channel keeps its cursor: after a cut it goes on where it was.

export interface Frame {
  channel: string;
  seq: number;
  at_ms: number;
  data: Record<string, unknown> | null;
}

interface Listening {
  after: number | undefined;
  /** A token that names the channel, minted anew for each connection; null where anybody may listen. */
  token: (() => Promise<string>) | null;
  hear: (frame: Frame) => void;
  /** Something was missed: fetch what is now. */
  missed: () => void;
}

/** Milliseconds before the first try after a cut, and at most. */
const PAUSE = [300, 8000] as const;
/** Milliseconds before a channel that was refused is asked for with another token. */
const AGAIN = 3000;

class Live {
  private socket: WebSocket | null = null;
  private readonly channels = new Map<string, Listening>();
  private pause: number = PAUSE[0];

  /** Listens to a channel; what is given back ends it. */
  listen(channel: string, how: Partial<Listening> & Pick<Listening, 'hear'>): () => void {
    const listening: Listening = { after: undefined, token: null, missed: () => undefined, ...how };
    this.channels.set(channel, listening);
    if (this.socket?.readyState === WebSocket.OPEN) void this.subscribe(channel, listening);
    else this.open();
    return () => {
      if (this.channels.get(channel) !== listening) return;
      this.channels.delete(channel);
      this.say({ unsubscribe: channel });
    };
  }

  private open(): void {
    if (this.socket) return;
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/live`);
    this.socket = socket;
    socket.addEventListener('open', () => {
      this.pause = PAUSE[0];
      for (const [channel, listening] of this.channels) void this.subscribe(channel, listening);
    });
    socket.addEventListener('message', (event: MessageEvent<string>) => this.take(JSON.parse(event.data) as Record<string, unknown>));
    socket.addEventListener('close', () => {
      this.socket = null;
      if (this.channels.size === 0) return;
      window.setTimeout(() => this.open(), this.pause * (0.5 + Math.random()));
      this.pause = Math.min(this.pause * 2, PAUSE[1]);
    });
  }

  private async subscribe(channel: string, { after, token }: Listening): Promise<void> {
    const shown = token && (await token().catch(() => null));
    this.say({ subscribe: channel, ...(after === undefined ? {} : { after }), ...(shown ? { token: shown } : {}) });
  }

  private take(said: Record<string, unknown>): void {
    const channel = String(said.subscribed ?? said.refused ?? said.channel ?? '');
    const listening = this.channels.get(channel);
    if (!listening) return;
    if ('subscribed' in said) listening.after ??= Number(said.seq);
    else if ('refused' in said) this.again(channel, listening);
    else if ('gap' in said) {
      listening.after = (said.gap as { to: number }).to;
      listening.missed();
    } else if ('seq' in said) {
      const frame = said as unknown as Frame;
      listening.after = frame.seq;
      listening.hear(frame);
    }
  }

  /** Tokens are good for minutes: with the next one it goes on. */
  private again(channel: string, listening: Listening): void {
    if (!listening.token) return;
    window.setTimeout(() => {
      if (this.channels.get(channel) === listening && this.socket?.readyState === WebSocket.OPEN) void this.subscribe(channel, listening);
    }, AGAIN);
  }

  private say(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

export const live = new Live();
