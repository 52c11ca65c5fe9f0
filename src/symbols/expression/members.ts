import { evaluateLocation } from '../dwarf/location.ts';
import type { LocatedMember } from '../dwarf/struct-type.ts';
import { type StructMember, type StructType, type TypeDescription, unaliased } from '../types.ts';

/** Reads memory of the process; fewer bytes, or none, where it cannot. */
export type MemoryReader = (address: bigint, lengthBytes: number) => Uint8Array | undefined;

/** A member and where it is. */
export interface MemberPlace {
  readonly member: StructMember;
  readonly address: bigint;
}

/**
 * The member `name` of the struct at `address`: its own, those of anonymous structs and unions in it, those of base
 * classes, and the variants of a Rust enum. `undefined` if there is none; `'unreadable'` if it is in a virtual base that
 * takes memory to find.
 */
export function findMember(
  type: StructType,
  name: string,
  place: { address: bigint; readMemory?: MemoryReader | undefined },
  seen: Set<StructType> = new Set(),
): MemberPlace | 'unreadable' | undefined {
  // Each type once: the first of its kind is meant, and a hostile file may nest a struct in itself many times over.
  if (seen.size >= mostTypes || seen.has(type)) return undefined;
  seen.add(type);
  const { address } = place;
  const members = [...type.members, ...variantMembers(type)];
  for (const member of members) {
    // Rust's tuples: `.0` is stored as `__0`.
    const isIt = member.name === name || (/^\d/.test(name) && member.name === `__${name}`);
    if (isIt && !member.isVirtual) return { member, address: address + BigInt(member.byteOffset) };
  }
  let unreadable = false;
  for (const member of members) {
    if (member.name !== undefined && !member.isBaseClass) continue;
    const inner = unaliased(member.type);
    if (inner.kind !== 'struct') continue;
    const at = member.isVirtual ? virtualAddress(member, place) : address + BigInt(member.byteOffset);
    if (at === undefined) {
      unreadable ||= findMember(inner, name, { address: 0n }, seen) !== undefined;
      continue;
    }
    if (member.isVirtual && member.name === name) return { member, address: at };
    const found = findMember(inner, name, { ...place, address: at }, seen);
    if (found === 'unreadable') unreadable = true;
    else if (found !== undefined) return found;
  }
  return unreadable ? 'unreadable' : undefined;
}

/** The names that {@link findMember} finds in a type, for messages; bounded. */
export function memberNames(type: StructType, seen: Set<StructType> = new Set()): string[] {
  if (seen.size >= mostTypes || seen.has(type)) return [];
  seen.add(type);
  const names: string[] = [];
  for (const member of [...type.members, ...variantMembers(type)]) {
    if (names.length >= mostNames) break;
    if (member.name !== undefined && !member.isBaseClass) names.push(member.name);
    const inner: TypeDescription = unaliased(member.type);
    if ((member.name === undefined || member.isBaseClass) && inner.kind === 'struct') {
      names.push(...memberNames(inner, seen));
    }
  }
  return names;
}

function variantMembers(type: StructType): StructMember[] {
  const { variants } = type;
  if (variants === undefined) return [];
  const members = variants.variants.map(({ member, name }) => ({ ...member, name: member.name ?? name }));
  return variants.discriminant === undefined ? members : [...members, variants.discriminant];
}

function virtualAddress(
  member: LocatedMember,
  place: { address: bigint; readMemory?: MemoryReader | undefined },
): bigint | undefined {
  if (member.location === undefined) return undefined;
  const { file, offset } = member.location.place;
  const unit = file.unitAt(offset);
  const location = evaluateLocation(member.location.expression, {
    file: file.name,
    addressBytes: unit.addressBytes,
    offsetBytes: unit.offsetBytes,
    addressAt: (index) => file.addressAt(unit, index),
    initial: place.address,
    readMemory: place.readMemory,
  });
  return location.kind === 'address' ? location.address : undefined;
}

/** How many types are looked through for one member, at the most. */
const mostTypes = 1_000;
const mostNames = 256;
