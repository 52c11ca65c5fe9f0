import { PeerError } from '../errors.ts';
import { bytesToHex, hexToBytes } from '../hex-bytes.ts';
import { packetText } from '../packet-reader.ts';
import type { Awaitable } from '../target.ts';
import { registersOf } from '../target-description.ts';
import { after, type PacketSession, type ServerPacket } from './packet.ts';

function registerBytes(session: PacketSession, number: number): number {
  const register = registersOf(session.target.description)[number];
  if (register === undefined) throw new PeerError('EINVAL', `there is no register ${number}`);
  return register.bits >> 3;
}

function digitsOf(session: PacketSession, number: number): Awaitable<string> {
  const lenBytes = registerBytes(session, number);
  return after(session.target.registers.read(session.inspected, number), (bytes) =>
    bytes === undefined ? 'xx'.repeat(lenBytes) : packetText(bytesToHex(bytes)),
  );
}

/**
 * All registers in the order of their numbers, in the target's byte order; "xx" for a byte that is not available.
 *
 *   "g"  ->  ( HEX HEX | "xx" )*
 */
export const readRegistersPacket: ServerPacket = {
  name: 'g',
  answer: async (session, reader) => {
    reader.end();
    let reply = '';
    for (const number of registersOf(session.target.description).keys()) {
      const digits = digitsOf(session, number);
      reply += digits instanceof Promise ? await digits : digits;
    }
    return reply;
  },
};

/**
 * One register.
 *
 *   "p" NUMBER  ->  ( HEX HEX | "xx" )*
 */
export const readRegisterPacket: ServerPacket = {
  name: 'p',
  answer: (session, reader) => {
    const number = reader.number();
    return digitsOf(session, number);
  },
};

/**
 * Writes all registers.
 *
 *   "G" ( HEX HEX )*  ->  "OK"
 */
export const writeRegistersPacket: ServerPacket = {
  name: 'G',
  answer: async (session, reader) => {
    const bytes = hexToBytes(reader.rest());
    let at = 0;
    for (const number of registersOf(session.target.description).keys()) {
      const lenBytes = registerBytes(session, number);
      if (at + lenBytes > bytes.length) break;
      await session.target.registers.write(session.inspected, number, bytes.subarray(at, at + lenBytes));
      at += lenBytes;
    }
    return 'OK';
  },
};

/**
 * Writes one register.
 *
 *   "P" NUMBER "=" ( HEX HEX )*  ->  "OK"
 */
export const writeRegisterPacket: ServerPacket = {
  name: 'P',
  answer: (session, reader) => {
    const number = reader.number();
    reader.expect('=');
    const bytes = hexToBytes(reader.rest());
    if (bytes.length !== registerBytes(session, number))
      throw new PeerError('EINVAL', `register ${number} has another size`);
    return after(session.target.registers.write(session.inspected, number, bytes), () => 'OK');
  },
};
