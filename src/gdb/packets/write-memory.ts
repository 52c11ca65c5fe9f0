import { PeerError } from '../errors.ts';
import { hexToBytes } from '../hex-bytes.ts';
import type { PacketReader } from '../packet-reader.ts';
import type { Awaitable, MemoryAbility, TargetThread } from '../target.ts';
import { after, type ServerPacket } from './packet.ts';

type Write = (thread: TargetThread, address: bigint, bytes: Uint8Array) => Awaitable<void>;

function parseWrite(
  reader: PacketReader,
  decode: (digits: Uint8Array) => Uint8Array,
): { readonly address: bigint; readonly bytes: Uint8Array } {
  const address = reader.hex();
  reader.expect(',');
  const lenBytes = reader.number();
  reader.expect(':');
  const bytes = decode(reader.rest());
  if (bytes.length !== lenBytes)
    throw new PeerError('EINVAL', `${lenBytes} bytes are announced, and ${bytes.length} came`);
  return { address, bytes };
}

function writePacket(name: 'M' | 'X', write: Write): ServerPacket {
  const decode = name === 'M' ? hexToBytes : (bytes: Uint8Array): Uint8Array => bytes;
  return {
    name,
    answer: (session, reader) => {
      const { address, bytes } = parseWrite(reader, decode);
      // A write of nothing asks whether the packet is known.
      return bytes.length === 0 ? 'OK' : after(write(session.inspected, address, bytes), () => 'OK');
    },
  };
}

/**
 * Writes memory, from hex and from bytes.
 *
 *   "M" ADDRESS "," LENGTH ":" ( HEX HEX )*  ->  "OK"
 *   "X" ADDRESS "," LENGTH ":" BYTE*         ->  "OK"
 */
export function writeMemoryPackets(memory: MemoryAbility): readonly ServerPacket[] {
  const { write } = memory;
  if (write === undefined) return [];
  const bound: Write = (thread, address, bytes) => write.call(memory, thread, address, bytes);
  return [writePacket('M', bound), writePacket('X', bound)];
}
