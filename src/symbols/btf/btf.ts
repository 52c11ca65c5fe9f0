import { decodeUtf8, encodeUtf8 } from '../../base/text.ts';
import { ElfError } from '../elf-error.ts';
import type { TypeDescription } from '../types.ts';
import {
  BTF_KIND_ARRAY,
  BTF_KIND_CONST,
  BTF_KIND_DATASEC,
  BTF_KIND_DECL_TAG,
  BTF_KIND_ENUM,
  BTF_KIND_ENUM64,
  BTF_KIND_FLOAT,
  BTF_KIND_FUNC,
  BTF_KIND_FUNC_PROTO,
  BTF_KIND_FWD,
  BTF_KIND_INT,
  BTF_KIND_PTR,
  BTF_KIND_RESTRICT,
  BTF_KIND_STRUCT,
  BTF_KIND_TYPE_TAG,
  BTF_KIND_TYPEDEF,
  BTF_KIND_UNION,
  BTF_KIND_VAR,
  BTF_KIND_VOLATILE,
  type BtfEntry,
} from './btf-format.ts';
import { BtfTypes } from './btf-types.ts';

/** A variable that BTF places in a section. */
export interface BtfVariable {
  readonly name: string;
  readonly type: TypeDescription;
  readonly sizeBytes: number;
  /** The section: ".data..percpu" holds one copy a CPU. */
  readonly section: string;
  /** From the section's start. */
  readonly offset: number;
}

/**
 * The types of a kernel, or of a module on top of its kernel's (`/sys/kernel/btf/`). Types are described when they are
 * asked for.
 */
export class Btf {
  /** Names the file in messages. */
  readonly name: string;
  /** The type section. */
  readonly view: DataView;
  /** One more than the highest type number. */
  readonly typeCount: number;
  readonly #base: Btf | undefined;
  readonly #firstType: number;
  readonly #firstString: number;
  readonly #strings: Uint8Array;
  /** By type number less the first: where its entry is in {@link view}. */
  readonly #entries: Uint32Array;
  readonly #types: BtfTypes;
  #variables: ReadonlyMap<string, BtfVariable> | undefined;

  /**
   * Reads the headers and finds every type.
   *
   * ```
   * header = magic u16 eb9f | version u8 1 | flags u8 | header length u32 | types offset, length u32
   *        | strings offset, length u32             offsets count from the end of the header
   * type   = name offset u32 | info u32: count in bits 0-15, kind in 24-28, flag in 31 | size or type u32 | by kind
   * ```
   * Source: linux/btf.h.
   *
   * @param base the kernel's, for a module's: its types and strings come first.
   * @throws {ElfError} for what is not BTF, is cut, or has a type of no known kind.
   */
  static parse(bytes: Uint8Array, name: string, base?: Btf): Btf {
    return new Btf(bytes, name, base);
  }

  private constructor(bytes: Uint8Array, name: string, base: Btf | undefined) {
    this.name = name;
    this.#base = base;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 24 || view.getUint16(0, true) !== 0xeb9f) throw new ElfError(name, 'not BTF');
    if (view.getUint8(2) !== 1) throw new ElfError(name, `BTF version ${view.getUint8(2)} is not known`);
    const headerBytes = view.getUint32(4, true);
    const range = (offsetAt: number, what: string): { start: number; end: number } => {
      const start = headerBytes + view.getUint32(offsetAt, true);
      const end = start + view.getUint32(offsetAt + 4, true);
      if (headerBytes < 24 || end > bytes.length) throw new ElfError(name, `the BTF's ${what} are cut`);
      return { start, end };
    };
    const types = range(8, 'types');
    const strings = range(16, 'strings');
    this.view = new DataView(bytes.buffer, bytes.byteOffset + types.start, types.end - types.start);
    this.#strings = bytes.subarray(strings.start, strings.end);
    this.#firstType = base === undefined ? 1 : base.typeCount;
    this.#firstString = base === undefined ? 0 : base.#firstString + base.#strings.length;
    this.#entries = findEntries(this.view, name);
    this.typeCount = this.#firstType + this.#entries.length;
    this.#types = new BtfTypes(this);
  }

  /** A type as it is stored; `undefined` for 0 (void) and for numbers that are no type. */
  entry(id: number): BtfEntry | undefined {
    if (id < this.#firstType) return this.#base?.entry(id);
    const at = this.#entries[id - this.#firstType];
    if (at === undefined) return undefined;
    const info = this.view.getUint32(at + 4, true);
    return {
      kind: (info >>> 24) & 31,
      nameOffset: this.view.getUint32(at, true),
      count: info & 0xffff,
      flag: info >>> 31 === 1,
      sizeOrType: this.view.getUint32(at + 8, true),
      at: at + 12,
    };
  }

  /** Where the entry's own numbers are read: a base's entries are in its own bytes. */
  viewOf(id: number): DataView {
    return id < this.#firstType && this.#base !== undefined ? this.#base.viewOf(id) : this.view;
  }

  /** The string at `offset`; empty for what is none. */
  string(offset: number): string {
    if (offset < this.#firstString) return this.#base?.string(offset) ?? '';
    const start = offset - this.#firstString;
    if (start >= this.#strings.length) return '';
    const nul = this.#strings.indexOf(0, start);
    const end = nul < 0 ? this.#strings.length : nul;
    return decodeUtf8(this.#strings.subarray(start, Math.min(end, start + mostNameBytes)));
  }

  /** The type of a number; 0 is void. */
  type(id: number): TypeDescription {
    return this.#types.describe(id);
  }

  /**
   * The type that `name` means in C: "struct task_struct", "union …", "enum …", or a typedef or base type. Of several of a
   * name the first that is a definition.
   */
  typeNamed(name: string): TypeDescription | undefined {
    const [, keyword, tag] = /^(struct|union|enum)\s+(\w+)$/.exec(name) ?? [];
    const kinds = keyword === undefined ? plainKinds : kindsOfKeyword[keyword];
    const id = kinds === undefined ? undefined : this.#find(tag ?? name, kinds);
    return id === undefined ? undefined : this.type(id);
  }

  /** The variable of a name, where BTF has variables: kernels of today list their per-CPU ones. */
  variable(name: string): BtfVariable | undefined {
    return this.variables().get(name) ?? this.#base?.variable(name);
  }

  /** Its own variables by name, without the base's. */
  variables(): ReadonlyMap<string, BtfVariable> {
    this.#variables ??= this.#readVariables();
    return this.#variables;
  }

  #find(name: string, kinds: readonly number[]): number | undefined {
    const inBase = this.#base === undefined ? undefined : this.#base.#find(name, kinds);
    if (inBase !== undefined) return inBase;
    const wanted = encodeUtf8(`${name}\0`);
    for (let i = 0; i < this.#entries.length; i++) {
      const at = this.#entries[i]!; // in bounds
      if (!kinds.includes((this.view.getUint32(at + 4, true) >>> 24) & 31)) continue;
      if (this.#isString(this.view.getUint32(at, true), wanted)) return this.#firstType + i;
    }
    return undefined;
  }

  #isString(offset: number, wanted: Uint8Array): boolean {
    if (offset < this.#firstString)
      return this.#base === undefined ? false : this.#base.#isString(offset, wanted);
    const start = offset - this.#firstString;
    for (let i = 0; i < wanted.length; i++) if (this.#strings[start + i] !== wanted[i]) return false;
    return true;
  }

  #readVariables(): ReadonlyMap<string, BtfVariable> {
    const variables = new Map<string, BtfVariable>();
    for (let i = 0; i < this.#entries.length; i++) {
      const section = this.entry(this.#firstType + i);
      if (section?.kind !== BTF_KIND_DATASEC) continue;
      const sectionName = this.string(section.nameOffset);
      for (let k = 0; k < section.count; k++) {
        const at = section.at + k * 12;
        const variable = this.entry(this.view.getUint32(at, true));
        if (variable?.kind !== BTF_KIND_VAR) continue;
        const name = this.string(variable.nameOffset);
        if (variables.has(name)) continue;
        variables.set(name, {
          name,
          type: this.type(variable.sizeOrType),
          sizeBytes: this.view.getUint32(at + 8, true),
          section: sectionName,
          offset: this.view.getUint32(at + 4, true),
        });
      }
    }
    return variables;
  }
}

const mostNameBytes = 4096;

const plainKinds: readonly number[] = [BTF_KIND_INT, BTF_KIND_TYPEDEF, BTF_KIND_FLOAT];
const kindsOfKeyword: Readonly<Record<string, readonly number[]>> = {
  struct: [BTF_KIND_STRUCT],
  union: [BTF_KIND_UNION],
  enum: [BTF_KIND_ENUM, BTF_KIND_ENUM64],
};

/** Bytes behind the common part: fixed ones, and so many for each of `count`. */
const extraBytes: ReadonlyMap<number, readonly [fixed: number, each: number]> = new Map([
  [BTF_KIND_INT, [4, 0]],
  [BTF_KIND_PTR, [0, 0]],
  [BTF_KIND_ARRAY, [12, 0]],
  [BTF_KIND_STRUCT, [0, 12]],
  [BTF_KIND_UNION, [0, 12]],
  [BTF_KIND_ENUM, [0, 8]],
  [BTF_KIND_FWD, [0, 0]],
  [BTF_KIND_TYPEDEF, [0, 0]],
  [BTF_KIND_VOLATILE, [0, 0]],
  [BTF_KIND_CONST, [0, 0]],
  [BTF_KIND_RESTRICT, [0, 0]],
  [BTF_KIND_FUNC, [0, 0]],
  [BTF_KIND_FUNC_PROTO, [0, 8]],
  [BTF_KIND_VAR, [4, 0]],
  [BTF_KIND_DATASEC, [0, 12]],
  [BTF_KIND_FLOAT, [0, 0]],
  [BTF_KIND_DECL_TAG, [4, 0]],
  [BTF_KIND_TYPE_TAG, [0, 0]],
  [BTF_KIND_ENUM64, [0, 12]],
]);

function findEntries(view: DataView, name: string): Uint32Array {
  const entries = new Uint32Array(Math.floor(view.byteLength / 12));
  let count = 0;
  for (let at = 0; at < view.byteLength; ) {
    if (at + 12 > view.byteLength) throw new ElfError(name, 'the BTF ends within a type');
    const info = view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 31;
    const extra = extraBytes.get(kind);
    if (extra === undefined) throw new ElfError(name, `BTF kind ${kind} is not known`);
    entries[count++] = at;
    at += 12 + extra[0] + extra[1] * (info & 0xffff);
    if (at > view.byteLength) throw new ElfError(name, 'the BTF ends within a type');
  }
  return entries.slice(0, count);
}
