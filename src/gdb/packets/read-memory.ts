import { PeerError } from '../errors.ts';
import { bytesToHex } from '../hex-bytes.ts';
import { PacketReader, packetBytes, prefixed } from '../packet-reader.ts';
import type { Awaitable, MemoryAbility } from '../target.ts';
import { after, type PacketSession, type ServerPacket } from './packet.ts';

/** What is to be read. */
export interface MemoryRead {
  readonly address: bigint;
  readonly lenBytes: number;
}

/** Reads `ADDRESS "," LENGTH`. */
export function parseMemoryRead(reader: PacketReader): MemoryRead {
  const address = reader.hex();
  reader.expect(',');
  const lenBytes = reader.number();
  reader.end();
  return { address, lenBytes };
}

function readUpTo(
  session: PacketSession,
  memory: MemoryAbility,
  read: MemoryRead,
  mostBytes: number,
): Awaitable<Uint8Array> {
  const lenBytes = Math.min(read.lenBytes, mostBytes);
  if (lenBytes === 0) return new Uint8Array();
  return memory.read(session.inspected, read.address, lenBytes);
}

/**
 * Memory in hex; fewer bytes than asked for, where the rest cannot be read or has no room.
 *
 *   "m" ADDRESS "," LENGTH  ->  ( HEX HEX )*
 */
export function readMemoryPacket(memory: MemoryAbility): ServerPacket {
  return {
    name: 'm',
    answer: (session, reader) =>
      after(readUpTo(session, memory, parseMemoryRead(reader), session.packetBytesMax >> 1), bytesToHex),
  };
}

/**
 * Memory as bytes, behind a mark. Half the room is kept for escapes.
 *
 *   "x" ADDRESS "," LENGTH  ->  "b" BYTE*
 */
export function readBinaryPacket(memory: MemoryAbility): ServerPacket {
  return {
    name: 'x',
    feature: 'binary-upload+',
    answer: (session, reader) =>
      after(readUpTo(session, memory, parseMemoryRead(reader), (session.packetBytesMax - 1) >> 1), (bytes) =>
        prefixed('b', bytes),
      ),
  };
}

/** Asks for memory, in hex or as bytes. */
export function formatMemoryRead(read: MemoryRead, options: { readonly binary: boolean }): Uint8Array {
  return packetBytes(
    `${options.binary ? 'x' : 'm'}${read.address.toString(16)},${read.lenBytes.toString(16)}`,
  );
}

/** The bytes of a binary reply. Throws `PeerError` EIO if it is none. */
export function parseBinaryReply(data: Uint8Array): Uint8Array {
  const reader = new PacketReader(data);
  if (!reader.skip('b')) throw new PeerError('EIO', 'a binary reply begins with "b"');
  return reader.rest();
}
