import { type PacketReader, packetBytes } from '../packet-reader.ts';
import type { BreakpointKind, GdbTarget } from '../target.ts';
import { after, type ServerPacket } from './packet.ts';

/** Kinds in the order of their digits. */
export const breakpointKinds: readonly BreakpointKind[] = ['software', 'hardware', 'write', 'read', 'access'];

/** A breakpoint that is asked for. */
export interface BreakpointRequest {
  /** `undefined`: a digit that no kind has. */
  readonly kind: BreakpointKind | undefined;
  readonly address: bigint;
  readonly lenBytes: number;
}

/** Reads what stands behind "Z" or "z". Conditions and commands behind a ";" are for an agent that nobody has: refused. */
export function parseBreakpoint(reader: PacketReader): BreakpointRequest {
  const digit = reader.take();
  reader.expect(',');
  const address = reader.hex();
  reader.expect(',');
  const lenBytes = reader.number();
  reader.end();
  return { kind: /^[0-4]$/.test(digit) ? breakpointKinds[Number(digit)] : undefined, address, lenBytes };
}

/** Asks for a breakpoint, or for its removal. */
export function formatBreakpoint(
  operation: 'insert' | 'remove',
  request: { readonly kind: BreakpointKind; readonly address: bigint; readonly lenBytes: number },
): Uint8Array {
  const { kind, address, lenBytes } = request;
  const letter = operation === 'insert' ? 'Z' : 'z';
  return packetBytes(
    `${letter}${breakpointKinds.indexOf(kind)},${address.toString(16)},${lenBytes.toString(16)}`,
  );
}

function breakpointPacket(
  operation: 'insert' | 'remove',
  abilities: NonNullable<GdbTarget['breakpoints']>,
): ServerPacket {
  return {
    name: operation === 'insert' ? 'Z' : 'z',
    answer: (_, reader) => {
      const { kind, address, lenBytes } = parseBreakpoint(reader);
      const ability = kind === undefined ? undefined : abilities[kind];
      if (ability === undefined) return ''; // a kind that the target has not got
      return after(ability[operation](address, lenBytes), () => 'OK');
    },
  };
}

/**
 * Puts breakpoints in and takes them out. A kind that the target has not got is answered as an unknown packet.
 *
 *   ( "Z" | "z" ) KIND "," ADDRESS "," LENGTH  ->  "OK" | ""
 *   KIND ::= "0" software | "1" hardware | "2" write | "3" read | "4" access
 */
export function breakpointPackets(target: GdbTarget): readonly ServerPacket[] {
  const { breakpoints } = target;
  if (breakpoints === undefined) return [];
  return [breakpointPacket('insert', breakpoints), breakpointPacket('remove', breakpoints)];
}
