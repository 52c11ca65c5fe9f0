import { PacketReader, packetBytes } from '../packet-reader.ts';
import type { Stop, TargetThread, WatchStop } from '../target.ts';
import { parseThreadId, type ThreadId } from '../thread-id.ts';

// GDB manual, "Stop Reply Packets":
//
//   STOP-REPLY ::= "S" SIGNAL
//                | "T" SIGNAL ( NAME ":" VALUE ";" )*
//                | "W" STATUS [ ";process:" HEX ]
//                | "X" SIGNAL [ ";process:" HEX ]
//                | "N"
//   SIGNAL     ::= HEX HEX
//   NAME       ::= "thread" | "core" | "watch" | "rwatch" | "awatch" | "swbreak" | "hwbreak" | "exec" | "fork" | HEX | ...
//
// A NAME of hex digits is a register's number, and VALUE its bytes.

/** What a client may say that it knows, and a stop then tells. */
export interface StopFormat {
  readonly multiprocess: boolean;
  readonly swbreak: boolean;
  readonly hwbreak: boolean;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Digits of an address: as many as lldb and old GDBs want of 64 bits. */
function addressDigits(address: bigint): string {
  return address.toString(16).padStart(16, '0');
}

/** Writes a stop. `name` writes the id of its thread. */
export function formatStopReply(
  stop: Stop,
  format: StopFormat,
  name: (thread: TargetThread) => string,
): string {
  if (stop.type !== 'signal') {
    const process = format.multiprocess ? `;process:${stop.process.toString(16)}` : '';
    return stop.type === 'exited'
      ? `W${hexByte(stop.status & 0xff)}${process}`
      : `X${hexByte(stop.signal)}${process}`;
  }
  const { thread, watch, breakpoint } = stop;
  let reply = `T${hexByte(stop.signal)}thread:${name(thread)};`;
  if (watch !== undefined) reply += `${watch.kind}:${addressDigits(watch.address)};`;
  if (breakpoint === 'hardware' && format.hwbreak) reply += 'hwbreak:;';
  if (breakpoint === 'software' && format.swbreak) reply += 'swbreak:;';
  return reply;
}

/** A stop as a client reads it. */
export type StopReply =
  | {
      readonly type: 'signal';
      readonly signal: number;
      readonly thread?: ThreadId;
      readonly watch?: { readonly kind: WatchStop; readonly address: bigint };
      readonly breakpoint?: 'hardware' | 'software';
      /** The CPU that the thread ran on. */
      readonly core?: number;
      /** Values of registers that came along, by number. */
      readonly registers: ReadonlyMap<number, Uint8Array>;
    }
  | { readonly type: 'exited'; readonly status: number }
  | { readonly type: 'terminated'; readonly signal: number }
  | { readonly type: 'nothing-left' };

/** Reads a stop. Throws `PeerError` EINVAL if it is none. */
export function parseStopReply(data: Uint8Array): StopReply {
  const reader = new PacketReader(data);
  const kind = reader.take();
  if (kind === 'N') return { type: 'nothing-left' };
  // gdbserver writes "W8".
  if (kind === 'W') return { type: 'exited', status: reader.number() };
  if (kind === 'X') return { type: 'terminated', signal: reader.number() };
  if (kind !== 'S' && kind !== 'T') throw reader.error('a stop');
  const digits = `${reader.take()}${reader.take()}`;
  if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw reader.error('two hex digits');
  const number = Number.parseInt(digits, 16);
  const registers: Map<number, Uint8Array> = new Map();
  let found: {
    thread?: ThreadId;
    watch?: { kind: WatchStop; address: bigint };
    breakpoint?: 'hardware' | 'software';
    core?: number;
  } = {};
  while (kind === 'T' && !reader.done) {
    const name = reader.until(':');
    reader.expect(':');
    const value = new PacketReader(packetBytes(reader.until(';')));
    reader.skip(';');
    found = { ...found, ...named(name, value, registers) };
  }
  return { type: 'signal', signal: number, registers, ...found };
}

function named(
  name: string,
  value: PacketReader,
  registers: Map<number, Uint8Array>,
): {
  thread?: ThreadId;
  watch?: { kind: WatchStop; address: bigint };
  breakpoint?: 'hardware' | 'software';
  core?: number;
} {
  if (name === 'thread') return { thread: parseThreadId(value) };
  if (name === 'watch' || name === 'rwatch' || name === 'awatch')
    return { watch: { kind: name, address: value.hex() } };
  if (name === 'core') return { core: value.number() };
  if (name === 'hwbreak') return { breakpoint: 'hardware' };
  if (name === 'swbreak') return { breakpoint: 'software' };
  if (/^[0-9a-fA-F]{1,4}$/.test(name)) {
    const digits = value.restText();
    if (/^(?:[0-9a-fA-F]{2})+$/.test(digits))
      registers.set(
        Number.parseInt(name, 16),
        Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
          Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
        ),
      );
  }
  return {}; // what a client does not know is passed over
}
