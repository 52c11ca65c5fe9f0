import { PeerError } from './errors.ts';
import { ackByte, encodeFrame, type Frame, FrameDecoder, nakByte } from './framing.ts';
import { PacketReader, packetBytes } from './packet-reader.ts';
import type { PacketSession, Reply } from './packets/packet.ts';
import { formatStopReply } from './packets/stop-reply.ts';
import { ServerPackets } from './server-packets.ts';
import type { Awaitable, GdbTarget, ResumeAction, Stop, TargetThread } from './target.ts';
import { formatThreadId, type ThreadId } from './thread-id.ts';
import type { Transport } from './transport.ts';

/** How a session ended. */
export type SessionEnd =
  | { readonly type: 'detached' | 'killed' }
  /** The line is gone; the target runs on. */
  | { readonly type: 'lost'; readonly reason: string | undefined };

/** What a server takes. */
export interface GdbServerOptions {
  /** The longest data of a packet, in bytes; 128 KiB. */
  readonly packetBytesMax?: number;
  /** Who is told of every packet, for traces: data as on the line, without framing. */
  readonly onPacket?: (direction: 'in' | 'out', data: Uint8Array) => void;
}

const packetBytesMaxDefault = 0x20000;
/** Packets that may wait while one is answered. A client waits for each answer, so more is no client. */
const waitingMost = 64;
const sigint = 2;

/**
 * One client's session on a target: it answers packets, one after another, until the client lets go or the line is gone.
 * What the client sends cannot break it: garbage is passed over, an error is answered.
 */
export class GdbServer implements PacketSession {
  readonly target: GdbTarget;
  readonly packetBytesMax: number;
  readonly clientFeatures: Set<string> = new Set();
  /** Resolves when the session has ended. Rejects with a bug of the target, never for what the peer did. */
  readonly ended: Promise<SessionEnd>;
  readonly #transport: Transport;
  readonly #packets: ServerPackets;
  readonly #decoder: FrameDecoder;
  readonly #onPacket: GdbServerOptions['onPacket'];
  readonly #waiting: Uint8Array[] = [];
  #answering = false;
  #running = false;
  #acks = true;
  #lastSent: Uint8Array | undefined;
  #inspected: TargetThread | undefined;
  #resumed: TargetThread | undefined;
  /** The stop that the client was told of last. */
  #stop: Stop | undefined;
  #end: SessionEnd | undefined;
  #over = false;
  #finish: (end: SessionEnd) => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(transport: Transport, target: GdbTarget, options: GdbServerOptions = {}) {
    this.target = target;
    this.#transport = transport;
    this.#packets = new ServerPackets(target);
    this.#onPacket = options.onPacket;
    this.packetBytesMax = options.packetBytesMax ?? packetBytesMaxDefault;
    this.#decoder = new FrameDecoder({ dataBytesMax: this.packetBytesMax, runs: false });
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    transport.onClose((reason) => this.#close({ type: 'lost', reason }));
    transport.onData((bytes) => this.#decoder.push(bytes, (frame) => this.#take(frame)));
  }

  /** Ends the session from this side. */
  close(): void {
    this.#close({ type: 'lost', reason: 'the server ended the session' });
  }

  // --- what packets see --------------------------------------------------------------------------------------------

  serverFeatures(): readonly string[] {
    return this.#packets.features;
  }

  noAcks(): void {
    this.#acks = false;
  }

  get lastStop(): Stop {
    return this.#stop ?? this.target.lastStop();
  }

  get inspected(): TargetThread {
    const threads = this.target.threads();
    const chosen = this.#inspected;
    if (chosen !== undefined) {
      const found = threads.find((thread) => same(thread, chosen));
      if (found === undefined) throw new PeerError('ESRCH', 'the thread is gone');
      return found;
    }
    const stop = this.lastStop;
    const stopped = stop.type === 'signal' ? stop.thread : undefined;
    const found = threads.find((thread) => stopped !== undefined && same(thread, stopped)) ?? threads[0];
    if (found === undefined) throw new PeerError('ESRCH', 'there is no thread');
    return found;
  }

  get resumed(): TargetThread | undefined {
    return this.#resumed;
  }

  select(operation: 'inspect' | 'resume', id: ThreadId): void {
    const everybody = id.thread === 'all' || id.thread === 'any';
    const [thread] = this.threadsOf(id);
    if (!everybody && thread === undefined) throw new PeerError('ESRCH', 'there is no such thread');
    if (operation === 'inspect') this.#inspected = everybody && id.process === 'any' ? undefined : thread;
    else this.#resumed = everybody ? undefined : thread;
  }

  threadsOf(id: ThreadId): readonly TargetThread[] {
    const matching = this.target
      .threads()
      .filter(
        (thread) =>
          (typeof id.process !== 'number' || thread.process === id.process) &&
          (typeof id.thread !== 'number' || thread.thread === id.thread),
      );
    return id.thread === 'any' ? matching.slice(0, 1) : matching;
  }

  threadName(thread: TargetThread): string {
    return formatThreadId(thread, { multiprocess: this.#knows('multiprocess') });
  }

  stopReply(stop: Stop): string {
    const format = {
      multiprocess: this.#knows('multiprocess'),
      swbreak: this.#knows('swbreak'),
      hwbreak: this.#knows('hwbreak'),
    };
    return formatStopReply(stop, format, (thread) => this.threadName(thread));
  }

  resume(actions: readonly ResumeAction[]): Awaitable<Stop> {
    const { resume } = this.target;
    if (resume === undefined) throw new PeerError('EINVAL', 'the target cannot go on');
    // What was chosen holds for the stop that it was chosen at.
    this.#inspected = undefined;
    const stopped = (stop: Stop): Stop => {
      this.#stop = stop;
      return stop;
    };
    const stop = resume.run(actions);
    if (!(stop instanceof Promise)) return stopped(stop);
    this.#running = true;
    return stop.then(stopped).finally(() => {
      this.#running = false;
    });
  }

  endAfterReply(how: 'detached' | 'killed'): void {
    this.#end = { type: how };
  }

  // --- the line ----------------------------------------------------------------------------------------------------

  #knows(feature: string): boolean {
    return this.clientFeatures.has(feature);
  }

  #take(frame: Frame): void {
    if (this.#over) return;
    switch (frame.type) {
      case 'packet':
        this.#acknowledge(ackByte);
        this.#queue(frame.data);
        return;
      case 'oversize':
        this.#acknowledge(ackByte);
        this.#send(new PeerError('EINVAL', `a packet has at most ${this.packetBytesMax} bytes`).reply);
        return;
      case 'corrupt':
        this.#acknowledge(nakByte);
        return;
      case 'nak':
        if (this.#acks && this.#lastSent !== undefined) this.#transport.write(this.#lastSent);
        return;
      case 'interrupt':
        if (this.#running) this.target.resume?.interrupt();
        return;
      case 'ack':
      case 'notification':
        return;
      default:
        frame satisfies never;
    }
  }

  #acknowledge(byte: number): void {
    if (this.#acks) this.#transport.write(Uint8Array.of(byte));
  }

  #queue(data: Uint8Array): void {
    this.#onPacket?.('in', data);
    if (this.#waiting.length >= waitingMost) return; // nobody who keeps to the protocol gets here
    this.#waiting.push(data.slice());
    if (!this.#answering) this.#answerWaiting().catch((error: unknown) => this.#fail(error));
  }

  async #answerWaiting(): Promise<void> {
    this.#answering = true;
    try {
      for (let data = this.#waiting.shift(); data !== undefined; data = this.#waiting.shift()) {
        const answer = this.#answer(data);
        // Most answers are there at once; then nobody waits.
        const reply = answer instanceof Promise ? await answer : answer;
        if (this.#over) return;
        this.#send(reply);
        if (this.#end !== undefined) this.#close(this.#end);
      }
    } finally {
      this.#answering = false;
    }
  }

  #answer(data: Uint8Array): Awaitable<Reply> {
    const refused = (error: unknown): Reply => {
      if (error instanceof PeerError) return error.reply;
      throw error;
    };
    try {
      const found = this.#packets.find(data);
      if (found === undefined) return '';
      const reply = found.packet.answer(this, new PacketReader(data.subarray(found.nameBytes)));
      return reply instanceof Promise ? reply.catch(refused) : reply;
    } catch (error) {
      return refused(error);
    }
  }

  #send(reply: Reply): void {
    const data = typeof reply === 'string' ? packetBytes(reply) : reply;
    this.#onPacket?.('out', data);
    this.#lastSent = encodeFrame(data);
    this.#transport.write(this.#lastSent);
  }

  #close(end: SessionEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting.length = 0;
    if (this.#running) this.target.resume?.interrupt();
    this.#transport.close();
    const { target } = this;
    if (end.type === 'killed' || target.detach === undefined) {
      this.#finish(end);
      return;
    }
    Promise.resolve(target.detach()).then(
      () => this.#finish(end),
      (error: unknown) => this.#fail(error),
    );
  }
}

function same(one: TargetThread, other: TargetThread): boolean {
  return one.process === other.process && one.thread === other.thread;
}

/** A stop by Ctrl-C of a thread. */
export function interruptedStop(thread: TargetThread): Stop {
  return { type: 'signal', signal: sigint, thread };
}
