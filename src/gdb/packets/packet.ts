import type { PacketReader } from '../packet-reader.ts';
import type { Awaitable, GdbTarget, ResumeAction, Stop, TargetThread } from '../target.ts';
import type { ThreadId } from '../thread-id.ts';

/** What a packet is answered with: text of ASCII, or bytes; '' says that the packet is not known. */
export type Reply = string | Uint8Array;

/** What packets see of the session that they belong to. */
export interface PacketSession {
  readonly target: GdbTarget;
  /** The longest data of a packet that both sides take, in bytes on the line. */
  readonly packetBytesMax: number;
  /** What the client said that it knows: "multiprocess", "swbreak", "hwbreak", "fork-events", ... */
  readonly clientFeatures: Set<string>;
  /** The names of the features that the server has, as "qSupported" tells them. */
  serverFeatures(): readonly string[];
  /** No acknowledgments from now on. */
  noAcks(): void;
  /** Why the target stands. */
  readonly lastStop: Stop;
  /** The thread that registers and memory are asked of. Throws `PeerError` ESRCH if it is gone. */
  readonly inspected: TargetThread;
  /** The thread that the next "c" or "s" is about; `undefined`: all. */
  readonly resumed: TargetThread | undefined;
  select(operation: 'inspect' | 'resume', id: ThreadId): void;
  /** The threads that an id names; none if there is no such thread. */
  threadsOf(id: ThreadId): readonly TargetThread[];
  /** A thread's id as both sides write it. */
  threadName(thread: TargetThread): string;
  /** Lets the target run, and gives why it stopped. */
  resume(actions: readonly ResumeAction[]): Awaitable<Stop>;
  /** A stop as the client is told of it. */
  stopReply(stop: Stop): string;
  /** Ends the session once the reply is sent. */
  endAfterReply(how: 'detached' | 'killed'): void;
}

/** One packet that the server knows. */
export interface ServerPacket {
  /** How it begins: a letter, or a word of a "q", "Q", "v" or "j" packet. */
  readonly name: string;
  /** What "qSupported" says of it, if anything. */
  readonly feature?: string;
  /** Reads what stands behind the name, and answers. Throws `PeerError` for an error that is answered. */
  answer(session: PacketSession, reader: PacketReader): Awaitable<Reply>;
}

/** Goes on with a value that may come later. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => U): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
