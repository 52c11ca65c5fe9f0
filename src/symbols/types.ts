/**
 * What a variable is, as its debug information says: enough to format its bytes and to walk into it. It may lead back
 * into itself: a list's node points to nodes, and a hostile file may even nest a struct in itself. So whoever walks
 * through pointers or members must bound how deep.
 * Targets, members and enumerators may be read from the file at the first look.
 */
export type TypeDescription =
  | VoidType
  | BaseType
  | EnumType
  | PointerType
  | StructType
  | ArrayType
  | AliasType
  | FunctionType
  | OtherType;

/** No type: what a `void *` points to. */
export interface VoidType extends NamedType {
  readonly kind: 'void';
}

/** How the bytes of a base type are to be read. */
export type BaseEncoding =
  | 'signed'
  | 'unsigned'
  | 'boolean'
  /** IEEE 754 of 2, 4, 8 or 16 bytes; of 10, 12 or 16 bytes on x86 the 80-bit extended format, padded. */
  | 'float'
  /** A character that is a number to C: `char` and its kin. */
  | 'signed-char'
  | 'unsigned-char'
  /** A code unit or code point of Unicode: `char8_t`, `char16_t`, `char32_t`, Rust's `char`. */
  | 'utf'
  /** Two floats of half the size. */
  | 'complex'
  | 'other';

/** A number, character or boolean. Little-endian, as all that is read. */
export interface BaseType extends NamedType {
  readonly kind: 'base';
  readonly byteSize: number;
  readonly encoding: BaseEncoding;
}

/** An enumeration. */
export interface EnumType extends NamedType {
  readonly kind: 'enum';
  readonly byteSize: number;
  /** Whether a set top bit means a negative number. */
  readonly signed: boolean;
  /** In the order of the source; several may have one value. */
  readonly enumerators: readonly Enumerator[];
}

/** One name of an {@link EnumType}. */
export interface Enumerator {
  readonly name: string;
  /** Negative only where the type is `signed`. */
  readonly value: bigint;
}

/** An address of something. */
export interface PointerType extends NamedType {
  readonly kind: 'pointer';
  readonly byteSize: number;
  /** A C++ reference (`&` or `&&`) is an address that C++ does not show. */
  readonly reference: boolean;
  readonly target: TypeDescription;
}

/** A struct, class or union, or a tuple or enum of Rust. */
export interface StructType extends NamedType {
  readonly kind: 'struct';
  readonly keyword: 'struct' | 'class' | 'union';
  /** 0 where only its name is known (`incomplete`). */
  readonly byteSize: number;
  /** Its definition is nowhere in the file: `struct foo;`. */
  readonly incomplete: boolean;
  /** In the order of the file, base classes among them. Static members are not. */
  readonly members: readonly StructMember[];
  /** A Rust enum: which of its variants holds is told by a discriminant. */
  readonly variants?: VariantPart | undefined;
}

/** A part of a struct. */
export interface StructMember {
  /** `undefined` of an anonymous struct or union, whose members belong to the outer one; a base class has its type's name. */
  readonly name: string | undefined;
  readonly type: TypeDescription;
  /** From the struct's start. For a bit-field, of the storage unit: the smallest aligned one that holds all of it. */
  readonly byteOffset: number;
  /**
   * Bytes to read at `byteOffset`: the type's size; for a bit-field 1, 2, 4 or 8, and where it crosses a unit of 8 just
   * the bytes that it is in.
   */
  readonly storageBytes: number;
  /** Of a bit-field: `offset` bits above the lowest bit of the storage unit, `size` bits wide. */
  readonly bits?: { readonly offset: number; readonly size: number };
  readonly isBaseClass: boolean;
  /** A virtual base class: where it is is written in the object, and `byteOffset` is 0. */
  readonly isVirtual: boolean;
}

/** The variants of a Rust enum. */
export interface VariantPart {
  /** The member that tells; `undefined` where there is one variant only. */
  readonly discriminant: StructMember | undefined;
  readonly variants: readonly Variant[];
}

/** One variant of a {@link VariantPart}. */
export interface Variant {
  readonly name: string;
  /** The discriminant's value; `undefined` of the one that all other values mean. */
  readonly value: bigint | undefined;
  readonly member: StructMember;
}

/** So many of one type, one behind the other; `int[2][3]` is an array of 2 arrays of 3. */
export interface ArrayType extends NamedType {
  readonly kind: 'array';
  /** 0 where the count is not known. */
  readonly byteSize: number;
  readonly element: TypeDescription;
  /** `undefined` where it is not known: `extern int a[]`, a flexible array member. */
  readonly count: number | undefined;
  /** A SIMD vector. */
  readonly vector: boolean;
}

/** Another name, or a qualified form, of `target`: typedef, const, volatile, atomic, restrict. */
export interface AliasType extends NamedType {
  readonly kind: 'alias';
  readonly byteSize: number;
  readonly alias: 'typedef' | 'const' | 'volatile' | 'atomic' | 'restrict';
  readonly target: TypeDescription;
}

/** A function: what a function pointer points to. */
export interface FunctionType extends NamedType {
  readonly kind: 'function';
  readonly byteSize: 0;
}

/** What is none of the others (a C++ pointer to member, `decltype(nullptr)`): bytes. */
export interface OtherType extends NamedType {
  readonly kind: 'other';
  readonly byteSize: number;
}

interface NamedType {
  /** As its language spells it: `unsigned int`, `struct cfg`, `int[4]`, `char *`. */
  readonly name: string;
  /** 0 where there is none. */
  readonly byteSize: number;
}

/** `type` without the names and qualifiers around it. Bounded: a chain that is too long, or leads back, is `other`. */
export function unaliased(type: TypeDescription): Exclude<TypeDescription, AliasType> {
  let inner = type;
  for (let steps = 0; inner.kind === 'alias'; steps++) {
    if (steps === mostAliases) return { kind: 'other', name: type.name, byteSize: 0 };
    inner = inner.target;
  }
  return inner;
}

/** No compiler nests typedefs so deep; a hostile file may make them lead back to themselves. */
const mostAliases = 256;
