import type { PacketReader } from './packet-reader.ts';

/**
 * Whom a packet is about: a thread of a process; "all" is -1 on the line, "any" is 0.
 *
 *   THREAD-ID ::= ID | "p" ID [ "." ID ]        the second form with the feature "multiprocess"
 *   ID        ::= HEX | "-1"
 */
export interface ThreadId {
  readonly process: number | 'all' | 'any';
  readonly thread: number | 'all' | 'any';
}

function parseId(reader: PacketReader): number | 'all' | 'any' {
  if (reader.skip('-')) {
    reader.expect('1');
    return 'all';
  }
  const id = reader.number();
  return id === 0 ? 'any' : id;
}

/** Reads a thread id. Without a process the process is "any"; a process without a thread means all its threads. */
export function parseThreadId(reader: PacketReader): ThreadId {
  if (!reader.skip('p')) return { process: 'any', thread: parseId(reader) };
  const process = parseId(reader);
  return { process, thread: reader.skip('.') ? parseId(reader) : 'all' };
}

function formatId(id: number | 'all' | 'any'): string {
  return id === 'all' ? '-1' : id === 'any' ? '0' : id.toString(16);
}

/** Writes a thread id, with the process if both sides know processes. */
export function formatThreadId(id: ThreadId, options: { readonly multiprocess: boolean }): string {
  return options.multiprocess ? `p${formatId(id.process)}.${formatId(id.thread)}` : formatId(id.thread);
}
