import type { TypeDescription } from '../symbols/types.ts';
import { asFields, count, type Fields, flag, list, optionalText, text, word } from './json-fields.ts';
import { RecordingError } from './recording-error.ts';

// Types of watched bytes in a recording: what is needed to write at most eight bytes as what they are. What a pointer
// points to is not.

/** No eight bytes are nested so deep; a hostile file may nest a struct in itself. */
const deepest = 12;
/** More than any eight bytes have members, and enough for the enumerations there are. */
const mostParts = 4096;

/** A type as plain JSON (bigints as they are, for `toJson`); what does not fit the limits becomes `other`. */
export function typeFields(type: TypeDescription, depth: number = 0): object {
  const { kind, name, byteSize } = type;
  const named = { kind, name, byteSize };
  if (depth > deepest) return { ...named, kind: 'other' };
  const inner = (each: TypeDescription): object => typeFields(each, depth + 1);
  switch (type.kind) {
    case 'base':
      return { ...named, encoding: type.encoding };
    case 'enum':
      return {
        ...named,
        signed: type.signed,
        enumerators: type.enumerators.slice(0, mostParts).map((each) => [each.name, String(each.value)]),
      };
    case 'pointer':
      return { ...named, reference: type.reference };
    case 'alias':
      return { ...named, alias: type.alias, target: inner(type.target) };
    case 'array':
      return {
        ...named,
        element: inner(type.element),
        count: type.count ?? null,
        vector: type.vector,
      };
    case 'struct':
      if (byteSize > 64) return { ...named, kind: 'other' }; // no part of it is formatted
      return {
        ...named,
        keyword: type.keyword,
        incomplete: type.incomplete,
        variant: type.variants !== undefined,
        members: type.members.slice(0, 64).map((member) => ({
          name: member.name ?? null,
          type: inner(member.type),
          byteOffset: member.byteOffset,
          storageBytes: member.storageBytes,
          ...(member.bits === undefined ? {} : { bits: [member.bits.offset, member.bits.size] }),
          isBaseClass: member.isBaseClass,
          isVirtual: member.isVirtual,
        })),
      };
    default:
      return named;
  }
}

const encodings = [
  'signed',
  'unsigned',
  'boolean',
  'float',
  'signed-char',
  'unsigned-char',
  'utf',
  'complex',
  'other',
] as const;

/** The type that {@link typeFields} wrote. Throws {@link RecordingError}. */
export function parseType(value: unknown, depth: number = 0): TypeDescription {
  if (depth > deepest + 1) throw new RecordingError('a type is nested too deep');
  const fields = asFields(value);
  const name = text(fields, 'name');
  const kind = text(fields, 'kind');
  const byteSize = size(fields);
  switch (kind) {
    case 'base':
      return { kind, name, byteSize, encoding: word(fields, 'encoding', encodings) };
    case 'enum':
      return {
        kind,
        name,
        byteSize,
        signed: flag(fields, 'signed'),
        enumerators: list(fields, 'enumerators').map(enumerator),
      };
    case 'pointer':
      return {
        kind,
        name,
        byteSize,
        reference: flag(fields, 'reference'),
        target: { kind: 'void', name: 'void', byteSize: 0 },
      };
    case 'alias':
      return {
        kind,
        name,
        byteSize,
        alias: word(fields, 'alias', ['typedef', 'const', 'volatile', 'atomic', 'restrict']),
        target: parseType(fields.target, depth + 1),
      };
    case 'array':
      return {
        kind,
        name,
        byteSize,
        element: parseType(fields.element, depth + 1),
        count: fields.count === null ? undefined : count(fields, 'count'),
        vector: flag(fields, 'vector'),
      };
    case 'struct':
      return {
        kind,
        name,
        byteSize,
        keyword: word(fields, 'keyword', ['struct', 'class', 'union']),
        incomplete: flag(fields, 'incomplete'),
        members: list(fields, 'members').map((member) => parseMember(asFields(member), depth)),
        ...(flag(fields, 'variant') ? { variants: { discriminant: undefined, variants: [] } } : {}),
      };
    default:
      return { kind: 'other', name, byteSize };
  }
}

function parseMember(
  fields: Fields,
  depth: number,
): Extract<TypeDescription, { kind: 'struct' }>['members'][number] {
  const bits = list(fields, 'bits');
  const [offset, width] = bits;
  return {
    name: optionalText(fields, 'name'),
    type: parseType(fields.type, depth + 1),
    byteOffset: count(fields, 'byteOffset'),
    storageBytes: count(fields, 'storageBytes'),
    ...(isBit(offset) && isBit(width) ? { bits: { offset, size: width } } : {}),
    isBaseClass: flag(fields, 'isBaseClass'),
    isVirtual: flag(fields, 'isVirtual'),
  };
}

function isBit(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 64;
}

function enumerator(value: unknown): { name: string; value: bigint } {
  const [name, number] = Array.isArray(value) ? (value as unknown[]) : []; // checked next
  if (typeof name !== 'string' || typeof number !== 'string' || !/^-?[0-9]{1,20}$/.test(number))
    throw new RecordingError('an enumerator is not a name and a number');
  return { name, value: BigInt(number) };
}

/** Bit-fields have a fraction. */
function size(fields: Fields): number {
  const value = fields.byteSize;
  if (typeof value !== 'number' || !(value >= 0)) throw new RecordingError("'byteSize' of a type is no size");
  return value;
}
