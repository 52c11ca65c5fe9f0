import { hex } from '../../base/hex.ts';
import { joinPair } from '../../base/pair.ts';
import {
  type ArrayType,
  type BaseType,
  type EnumType,
  type StructMember,
  type StructType,
  type TypeDescription,
  unaliased,
} from '../../symbols/types.ts';
import type { ValueWords } from './hit-value.ts';

/** What watched bytes are. */
export interface ValueShape {
  /** 1 to 8. */
  readonly lenBytes: number;
  /** Absent without debug information. */
  readonly type?: TypeDescription | undefined;
  /** Of a bit-field, whose storage unit is watched. */
  readonly bits?: { readonly offset: number; readonly size: number } | undefined;
}

/** How values are written. */
export interface ValueFormatOptions {
  /** Bytes, in the order of memory, whatever the type. */
  readonly raw?: boolean;
  /** What lies at an address, for pointers: "table+0x8". */
  readonly nameOf?: (address: bigint) => string | undefined;
}

/** Writes values of one watch. */
export interface ValueFormat {
  /** The type's name; `undefined` without debug information. */
  readonly typeName: string | undefined;
  /** For a person: `-1`, `1.5`, `true`, `OPEN`, `0x404040 <table+0x8>`, `{min = 1, max = 5}`. */
  text(value: ValueWords): string;
  /**
   * As JSON: a number, or a string where there is no such number: "0x…" for pointers and above 2^53, names of
   * enumerators, "nan" and "inf", structs and arrays as in {@link ValueFormat.text}.
   */
  json(value: ValueWords): string;
}

/** The format of a watch's values. A type that does not fill the watched bytes is not used. */
export function valueFormat(shape: ValueShape, options: ValueFormatOptions = {}): ValueFormat {
  const { lenBytes, type, bits } = shape;
  const typeName = type?.name;
  if (options.raw === true) {
    const text = (value: ValueWords): string => rawText(value, lenBytes);
    return { typeName, text, json: (value) => `"${text(value)}"` };
  }
  const writer = new Writer(options);
  const inner = (type === undefined ? undefined : fitting(unaliased(type), shape)) ?? unsignedOf(lenBytes);
  const plain = bits === undefined ? plainFormat(typeName, inner) : undefined;
  if (plain !== undefined) return plain;
  const shown = bits === undefined ? inner : narrowed(inner, bits.size);
  const numberOf = (value: ValueWords): bigint =>
    bits === undefined
      ? joinPair(value.low, value.high)
      : BigInt.asUintN(bits.size, joinPair(value.low, value.high) >> BigInt(bits.offset));
  return {
    typeName,
    text: (value) => writer.text(shown, numberOf(value)),
    json: (value) => writer.json(shown, numberOf(value)),
  };
}

/** A type without names around it. */
type Bare = ReturnType<typeof unaliased>;

/** The format of the usual types, integers of at most 32 bits, which makes no bigint for a hit. */
function plainFormat(typeName: string | undefined, type: Bare): ValueFormat | undefined {
  if (type.kind !== 'base' || type.byteSize > 4) return undefined;
  const unused = 32 - 8 * type.byteSize;
  const write =
    type.encoding === 'unsigned' || type.encoding === 'other'
      ? (value: ValueWords): string => String(value.low)
      : type.encoding === 'signed'
        ? (value: ValueWords): string => String((value.low << unused) >> unused)
        : undefined;
  return write === undefined ? undefined : { typeName, text: write, json: write };
}

/** `type` where its bytes are those that are watched; an array's elements where a part of it is watched. */
function fitting(type: Bare, { lenBytes, bits }: ValueShape): Bare | undefined {
  if (bits !== undefined) return type.kind === 'base' || type.kind === 'enum' ? type : undefined;
  if (type.kind === 'array' && type.byteSize !== lenBytes) {
    const { byteSize } = unaliased(type.element);
    if (byteSize === 0 || lenBytes % byteSize !== 0) return undefined;
    return { ...type, byteSize: lenBytes, count: lenBytes / byteSize, element: type.element };
  }
  return type.byteSize === lenBytes && type.kind !== 'other' && type.kind !== 'void' ? type : undefined;
}

function unsignedOf(byteSize: number): BaseType {
  return { kind: 'base', name: `${byteSize} bytes`, byteSize, encoding: 'other' };
}

function rawText({ low, high }: ValueWords, lenBytes: number): string {
  const bytes: string[] = [];
  for (let i = 0; i < lenBytes; i++) {
    const byte = ((i < 4 ? low : high) >>> (8 * (i & 3))) & 0xff;
    bytes.push(byte.toString(16).padStart(2, '0'));
  }
  return bytes.join(' ');
}

/** No struct of eight bytes is nested so deep; a hostile file may make one contain itself. */
const mostNested = 8;

/** Writes bits as what they are. Values are u64, cut to the type's size or the bit-field's. */
class Writer {
  readonly #nameOf: ((address: bigint) => string | undefined) | undefined;

  constructor(options: ValueFormatOptions) {
    this.#nameOf = options.nameOf;
  }

  json(type: Bare, value: bigint): string {
    switch (type.kind) {
      case 'base': {
        if (type.encoding === 'float') return jsonFloat(floatOf(value, type.byteSize), type.byteSize);
        return type.encoding === 'complex'
          ? JSON.stringify(this.text(type, value))
          : jsonInteger(integerOf(type, value));
      }
      case 'enum': {
        const name = enumeratorOf(type, value);
        return name === undefined
          ? jsonInteger(signedOf(type.signed, type.byteSize, value))
          : JSON.stringify(name);
      }
      case 'pointer':
        return `"${hex(value)}"`;
      default:
        return JSON.stringify(this.text(type, value));
    }
  }

  text(type: Bare, value: bigint, depth: number = 0): string {
    if (depth > mostNested) return '…';
    switch (type.kind) {
      case 'base':
        return baseText(type, value);
      case 'enum':
        return enumeratorOf(type, value) ?? String(signedOf(type.signed, type.byteSize, value));
      case 'pointer': {
        const name = value === 0n ? undefined : this.#nameOf?.(value);
        return name === undefined ? hex(value) : `${hex(value)} <${name}>`;
      }
      case 'struct':
        return this.#struct(type, value, depth);
      case 'array':
        return this.#array(type, value, depth);
      case 'void':
      case 'function':
      case 'other':
        return hex(value);
    }
  }

  #struct(type: StructType, value: bigint, depth: number): string {
    if (type.variants !== undefined || type.members.some(({ isVirtual }) => isVirtual)) return hex(value);
    return `{${type.members.map((member) => this.#member(member, value, depth)).join(', ')}}`;
  }

  #member(member: StructMember, value: bigint, depth: number): string {
    const { name, type, byteOffset, bits } = member;
    const inner = unaliased(type);
    const size = bits === undefined ? inner.byteSize * 8 : bits.size;
    const part = BigInt.asUintN(Math.min(size, 64), value >> BigInt(8 * byteOffset + (bits?.offset ?? 0)));
    const text = this.text(bits === undefined ? inner : narrowed(inner, bits.size), part, depth + 1);
    return name === undefined ? text : `${name} = ${text}`;
  }

  #array(type: ArrayType, value: bigint, depth: number): string {
    const element = unaliased(type.element);
    const count = Math.min(type.count ?? 0, 8);
    const bits = 8 * element.byteSize;
    if (element.kind === 'base' && element.byteSize === 1 && element.encoding.endsWith('char'))
      return characters(value, count);
    const parts: string[] = [];
    for (let i = 0; i < count; i++)
      parts.push(this.text(element, BigInt.asUintN(bits, value >> BigInt(bits * i)), depth + 1));
    return `{${parts.join(', ')}}`;
  }
}

/** A bit-field's own type: its sign is that of its highest bit. */
function narrowed(type: Bare, bits: number): Bare {
  return type.kind === 'base' || type.kind === 'enum' ? { ...type, byteSize: bits / 8 } : type;
}

function integerOf(type: BaseType, value: bigint): bigint {
  return signedOf(type.encoding === 'signed' || type.encoding === 'signed-char', type.byteSize, value);
}

function signedOf(signed: boolean, byteSize: number, value: bigint): bigint {
  return signed ? BigInt.asIntN(Math.round(byteSize * 8), value) : value;
}

function enumeratorOf(type: EnumType, value: bigint): string | undefined {
  const number = signedOf(type.signed, type.byteSize, value);
  return type.enumerators.find((each) => each.value === number)?.name;
}

function baseText(type: BaseType, value: bigint): string {
  switch (type.encoding) {
    case 'signed':
    case 'unsigned':
      return String(integerOf(type, value));
    case 'boolean':
      return value === 0n ? 'false' : value === 1n ? 'true' : String(value);
    case 'float':
      return floatText(floatOf(value, type.byteSize), type.byteSize);
    case 'signed-char':
    case 'unsigned-char':
    case 'utf': {
      const number = integerOf(type, value);
      return `${number} ${quoted(value, type.byteSize)}`;
    }
    case 'complex': {
      const bits = 4 * type.byteSize;
      const [real, imaginary] = [value, value >> BigInt(bits)].map((part) =>
        floatText(floatOf(BigInt.asUintN(bits, part), bits / 8), bits / 8),
      );
      return `${real} + ${imaginary}i`;
    }
    case 'other':
      return type.byteSize <= 4 ? String(value) : hex(value);
  }
}

function quoted(value: bigint, byteSize: number): string {
  const code = Number(value);
  const isText = byteSize === 1 ? code >= 0x20 && code < 0x7f : code >= 0x20 && code <= 0x10_ffff;
  const escapes: Readonly<Record<number, string>> = {
    0: '\\0',
    9: '\\t',
    10: '\\n',
    13: '\\r',
    39: "\\'",
    92: '\\\\',
  };
  if (escapes[code] !== undefined) return `'${escapes[code]}'`;
  return isText ? `'${String.fromCodePoint(code)}'` : `'\\x${code.toString(16).padStart(2, '0')}'`;
}

/** An array of `char` up to its terminator. */
function characters(value: bigint, count: number): string {
  let text = '';
  for (let i = 0; i < count; i++) {
    const byte = (value >> BigInt(8 * i)) & 0xffn;
    if (byte === 0n) break;
    text += quoted(byte, 1).slice(1, -1);
  }
  return JSON.stringify(text).replace(/\\\\/g, '\\');
}

function floatOf(bits: bigint, byteSize: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits, true);
  if (byteSize === 4) return view.getFloat32(0, true);
  if (byteSize === 8) return view.getFloat64(0, true);
  const exponent = Number((bits >> 10n) & 31n);
  const fraction = Number(bits & 0x3ffn);
  const sign = (bits & 0x8000n) === 0n ? 1 : -1;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function floatText(value: number, byteSize: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (Object.is(value, -0)) return '-0';
  return byteSize === 4 ? shortest32(value) : String(value);
}

/** The shortest decimal that is this float of 32 bits. */
function shortest32(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(value);
}

function jsonFloat(value: number, byteSize: number): string {
  const text = floatText(value, byteSize);
  return Number.isFinite(value) ? text : `"${text}"`;
}

const safe = BigInt(Number.MAX_SAFE_INTEGER) + 1n;

function jsonInteger(value: bigint): string {
  if (value <= safe && value >= -safe) return String(value);
  return value < 0n ? `"-${hex(-value)}"` : `"${hex(value)}"`;
}
