import { type GdbClient, isError } from '../../gdb/gdb-client.ts';
import { hexToBytes } from '../../gdb/hex-bytes.ts';
import { PacketReader, packetBytes, packetText } from '../../gdb/packet-reader.ts';
import { parseThreadId, type ThreadId } from '../../gdb/thread-id.ts';

/** No file of a stub is longer, in bytes. */
const fileBytesMost = 1 << 20;

/** A file that a stub offers (GDB manual, "qXfer object read"); `undefined` where it has none. */
async function readTransfer(client: GdbClient, object: string): Promise<Uint8Array | undefined> {
  if (!client.has(`qXfer:${object}:read`)) return undefined;
  const room = Math.max(16, (client.packetBytesMax - 1) >> 1);
  const bytes: number[] = [];
  while (bytes.length <= fileBytesMost) {
    const reply = await client.ask(`qXfer:${object}:read::${bytes.length.toString(16)},${room.toString(16)}`);
    const [mark] = reply;
    if (mark !== 0x6d && mark !== 0x6c) return undefined; // neither "m" nor "l"
    bytes.push(...reply.subarray(1));
    if (mark === 0x6c) return Uint8Array.from(bytes);
    if (reply.length === 1) return undefined;
  }
  return undefined;
}

/** A thread as a stub describes it. */
export interface StubThread {
  readonly id: ThreadId;
  /** "" where the stub does not tell. */
  readonly name: string;
}

/** The threads now, with their names: "qXfer:threads:read", otherwise "qThreadExtraInfo" for each. */
export async function readThreads(client: GdbClient): Promise<readonly StubThread[]> {
  const ids = await client.threads();
  const names = new Map<string, string>();
  const list = await readTransfer(client, 'threads');
  if (list !== undefined) {
    for (const [tag] of packetText(list).matchAll(/<thread\b[^>]*>/g)) {
      const id = /\bid="([^"]*)"/.exec(tag)?.[1];
      const name = /\bname="([^"]*)"/.exec(tag)?.[1];
      if (id !== undefined && name !== undefined)
        names.set(client.formatThread(parseThreadId(new PacketReader(packetBytes(id)))), plainText(name));
    }
  }
  const threads: StubThread[] = [];
  for (const id of ids.slice(0, threadsMost)) {
    const text = client.formatThread(id);
    threads.push({ id, name: names.get(text) ?? (list === undefined ? await extraInfo(client, text) : '') });
  }
  return threads;
}

/** So many are asked for their names. */
const threadsMost = 1024;

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function plainText(xml: string): string {
  return xml.replace(/&(lt|gt|amp|quot|apos);/g, (_, name: string) => entities[name] ?? '');
}

/** "CPU#0 [running]" is "CPU#0". */
async function extraInfo(client: GdbClient, id: string): Promise<string> {
  const reply = await client.ask(`qThreadExtraInfo,${id}`);
  if (reply.length === 0 || isError(reply) || reply.length % 2 === 1) return '';
  return packetText(hexToBytes(reply)).replace(/\s*\[[^\]]*\]\s*$/, '');
}

/** Source: elf.h, "Legal values for a_type". */
const AT_ENTRY = 9n;

/** Where the program of a process begins, by its auxiliary vector; `undefined` where the stub does not tell. */
export async function readEntry(client: GdbClient): Promise<bigint | undefined> {
  const bytes = await readTransfer(client, 'auxv');
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 16 <= bytes.length; at += 16)
    if (view.getBigUint64(at, true) === AT_ENTRY) return view.getBigUint64(at + 8, true);
  return undefined;
}

/** By how much code was moved when it was loaded ("qOffsets"); `undefined` where the stub does not tell. */
export async function readTextOffset(client: GdbClient): Promise<bigint | undefined> {
  const digits = /^Text=([0-9a-fA-F]{1,16})/.exec(packetText(await client.ask('qOffsets')))?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}
