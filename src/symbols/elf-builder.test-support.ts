import { encodeUtf8 } from '../base/text.ts';

/** A symbol to put into a test file; what is left out is a global object in .data. */
export interface TestSymbol {
  readonly name: string;
  readonly value?: bigint;
  readonly sizeBytes?: bigint;
  /** STT_…: 0 notype, 1 object, 2 function, 3 section, 4 file, 6 tls, 10 ifunc. */
  readonly type?: number;
  /** STB_…: 0 local, 1 global, 2 weak. */
  readonly binding?: number;
  /** st_shndx: 0 undefined, 1 .text, 2 .data, 0xfff1 absolute, 0xfff2 common. */
  readonly section?: number;
  /** .gnu.version entry, for dynamic symbols. */
  readonly version?: number;
}

/** What a test file is made of. */
export interface TestElf {
  readonly symbols?: readonly TestSymbol[];
  readonly dynamicSymbols?: readonly TestSymbol[];
  /** How the dynamic symbols can be counted without sections. */
  readonly hash?: 'sysv' | 'gnu';
  /** 2 executable, 3 shared (the default). */
  readonly type?: number;
  readonly machine?: number;
  /** vaddr of the file's first byte. */
  readonly base?: bigint;
  readonly pie?: boolean;
  readonly interpreter?: string;
  readonly buildId?: Uint8Array;
  readonly debugLink?: { readonly name: string; readonly crc32: number };
  /** False: no section headers at all. */
  readonly sections?: boolean;
  /** Counts and indexes in section 0 instead of in the ELF header. */
  readonly extendedNumbering?: boolean;
  /** SHF_COMPRESSED on .symtab. */
  readonly compressedSymbols?: boolean;
}

/** Where {@link buildElf} puts things, as vaddrs from `base`. The data segment is far behind the first, as linkers do. */
export const testLayout = {
  text: 0x1000n,
  textBytes: 0x1000n,
  data: 0x20_3000n,
  dataOffset: 0x3000n,
  dataBytes: 0x800n,
  /** .bss reaches to here from the data's end. */
  dataMemoryBytes: 0x2000n,
} as const;

/** A small 64-bit little-endian ELF file with two segments, in the manner of GNU ld. */
export function buildElf(options: TestElf = {}): Uint8Array {
  const base = options.base ?? 0n;
  const image = new Image(0x3800);
  const sections: Section[] = [];
  const addSection = (section: Section): number => sections.push(section);
  addSection({ name: '.text', type: 1, offset: 0x1000, sizeBytes: 0x1000, address: base + testLayout.text });
  addSection({ name: '.data', type: 1, offset: 0x3000, sizeBytes: 0x800, address: base + testLayout.data });
  const programHeaders: number[][] = [];
  const addProgramHeader = (
    type: number,
    flags: number,
    offset: number,
    sizeBytes: number,
    align = 4,
  ): void => {
    programHeaders.push([type, flags, offset, Number(base) + offset, sizeBytes, sizeBytes, align]);
  };
  addProgramHeader(1, 5, 0, 0x2800, 0x1000);
  const data = testLayout;
  programHeaders.push([1, 6, 0x3000, Number(base + data.data), 0x800, Number(data.dataMemoryBytes), 0x1000]);
  // Everything the first segment holds besides code stands behind the code, from here on.
  let at = 0x2000;
  const put = (bytes: Uint8Array): number => {
    const offset = at;
    image.bytes.set(bytes, offset);
    at = (offset + bytes.length + 7) & ~7;
    return offset;
  };
  if (options.interpreter !== undefined) {
    const text = encodeUtf8(`${options.interpreter}\0`);
    addProgramHeader(3, 4, put(text), text.length);
  }
  if (options.buildId !== undefined) {
    const note = new Uint8Array(16 + options.buildId.length);
    note.set([4, 0, 0, 0, options.buildId.length, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0]);
    note.set(options.buildId, 16);
    const offset = put(note);
    addProgramHeader(4, 4, offset, note.length);
    addSection({
      name: '.note.gnu.build-id',
      type: 7,
      offset,
      sizeBytes: note.length,
      address: base + BigInt(offset),
    });
  }
  if (options.dynamicSymbols !== undefined || options.pie === true) {
    const dynamic = options.dynamicSymbols ?? [];
    const table = symbolBytesOf(dynamic);
    const symbolsAt = put(table.symbols);
    const stringsAt = put(table.strings);
    const versions = new Uint8Array((dynamic.length + 1) * 2);
    for (const [i, symbol] of dynamic.entries())
      versions.set([(symbol.version ?? 0) & 255, (symbol.version ?? 0) >> 8], i * 2 + 2);
    const versionsAt = put(versions);
    const tags: [bigint, bigint][] = [
      [6n, base + BigInt(symbolsAt)],
      [5n, base + BigInt(stringsAt)],
      [10n, BigInt(table.strings.length)],
      [0x6fff_fff0n, base + BigInt(versionsAt)],
    ];
    if (options.hash !== undefined) {
      const count = dynamic.length + 1;
      const words =
        options.hash === 'sysv'
          ? [1, count, 0]
          : [1, 1, 1, 0, 0, 0, 1, ...dynamic.map((_, i) => (i === dynamic.length - 1 ? 1 : 2))];
      const hashAt = put(new Uint8Array(new Uint32Array(words).buffer));
      tags.push([options.hash === 'sysv' ? 4n : 0x6fff_fef5n, base + BigInt(hashAt)]);
    }
    if (options.pie === true) tags.push([0x6fff_fffbn, 0x0800_0000n]);
    tags.push([0n, 0n]);
    const dynamicBytes = new Uint8Array(new BigUint64Array(tags.flat()).buffer);
    addProgramHeader(2, 6, put(dynamicBytes), dynamicBytes.length, 8);
    const strings = addSection({
      name: '.dynstr',
      type: 3,
      offset: stringsAt,
      sizeBytes: table.strings.length,
    });
    addSection({
      name: '.dynsym',
      type: 11,
      offset: symbolsAt,
      sizeBytes: table.symbols.length,
      link: strings,
      entryBytes: 24,
    });
    addSection({ name: '.gnu.version', type: 0x6fff_ffff, offset: versionsAt, sizeBytes: versions.length });
  }
  if (options.debugLink !== undefined) {
    const name = encodeUtf8(options.debugLink.name);
    const bytes = new Uint8Array(((name.length + 4) & ~3) + 4);
    bytes.set(name);
    new DataView(bytes.buffer).setUint32(bytes.length - 4, options.debugLink.crc32, true);
    addSection({ name: '.gnu_debuglink', type: 1, offset: image.append(bytes), sizeBytes: bytes.length });
  }
  if (options.symbols !== undefined) {
    const table = symbolBytesOf(options.symbols);
    const strings = addSection({
      name: '.strtab',
      type: 3,
      offset: image.append(table.strings),
      sizeBytes: table.strings.length,
    });
    addSection({
      name: '.symtab',
      type: 2,
      offset: image.append(table.symbols),
      sizeBytes: table.symbols.length,
      link: strings,
      entryBytes: 24,
      flags: options.compressedSymbols === true ? 0x800 : 0,
    });
  }
  const hasSections = options.sections !== false;
  const sectionsAt = hasSections ? appendSections(image, sections, options.extendedNumbering === true) : 0;
  writeHeader(image, options, {
    sectionsAt,
    sectionCount: hasSections ? sections.length + 2 : 0,
    programHeaders,
  });
  return image.bytes;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly address?: bigint;
  readonly link?: number;
  readonly entryBytes?: number;
  readonly flags?: number;
}

class Image {
  bytes: Uint8Array;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }

  append(bytes: Uint8Array): number {
    const offset = (this.bytes.length + 7) & ~7;
    const grown = new Uint8Array(offset + bytes.length);
    grown.set(this.bytes);
    grown.set(bytes, offset);
    this.bytes = grown;
    return offset;
  }
}

function symbolBytesOf(symbols: readonly TestSymbol[]): { symbols: Uint8Array; strings: Uint8Array } {
  const table = new Uint8Array((symbols.length + 1) * 24);
  const view = new DataView(table.buffer);
  let strings = '\0';
  for (const [i, symbol] of symbols.entries()) {
    const at = (i + 1) * 24;
    view.setUint32(at, symbol.name === '' ? 0 : encodeUtf8(strings).length, true);
    view.setUint8(at + 4, (symbol.type ?? 1) | ((symbol.binding ?? 1) << 4));
    view.setUint16(at + 6, symbol.section ?? 2, true);
    view.setBigUint64(at + 8, symbol.value ?? 0n, true);
    view.setBigUint64(at + 16, symbol.sizeBytes ?? 0n, true);
    strings += `${symbol.name}\0`;
  }
  return { symbols: table, strings: encodeUtf8(strings) };
}

/** Section 0, the sections, the names; returns the table's offset. */
function appendSections(image: Image, sections: readonly Section[], extendedNumbering: boolean): number {
  let names = '\0';
  const nameOffsets = [...sections.map((section) => section.name), '.shstrtab'].map((name) => {
    const offset = names.length;
    names += `${name}\0`;
    return offset;
  });
  const namesAt = image.append(encodeUtf8(names));
  const all: Section[] = [
    ...sections,
    { name: '.shstrtab', type: 3, offset: namesAt, sizeBytes: names.length },
  ];
  const table = new Uint8Array((all.length + 1) * 64);
  const view = new DataView(table.buffer);
  if (extendedNumbering) {
    view.setBigUint64(32, BigInt(all.length + 1), true);
    view.setUint32(40, all.length, true);
  }
  for (const [i, section] of all.entries()) {
    const at = (i + 1) * 64;
    view.setUint32(at, nameOffsets[i] ?? 0, true);
    view.setUint32(at + 4, section.type, true);
    view.setBigUint64(at + 8, BigInt(section.flags ?? 0), true);
    view.setBigUint64(at + 16, section.address ?? 0n, true);
    view.setBigUint64(at + 24, BigInt(section.offset), true);
    view.setBigUint64(at + 32, BigInt(section.sizeBytes), true);
    view.setUint32(at + 40, section.link ?? 0, true);
    view.setBigUint64(at + 56, BigInt(section.entryBytes ?? 0), true);
  }
  return image.append(table);
}

function writeHeader(
  image: Image,
  options: TestElf,
  tables: { sectionsAt: number; sectionCount: number; programHeaders: readonly (readonly number[])[] },
): void {
  const view = new DataView(image.bytes.buffer);
  image.bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, options.type ?? 3, true);
  view.setUint16(18, options.machine ?? 62, true);
  view.setBigUint64(24, (options.base ?? 0n) + testLayout.text, true);
  view.setBigUint64(32, 64n, true);
  view.setBigUint64(40, BigInt(tables.sectionsAt), true);
  view.setUint16(54, 56, true);
  view.setUint16(56, tables.programHeaders.length, true);
  view.setUint16(58, tables.sectionsAt === 0 ? 0 : 64, true);
  const isExtended = options.extendedNumbering === true;
  view.setUint16(60, isExtended ? 0 : tables.sectionCount, true);
  view.setUint16(62, isExtended ? 0xffff : Math.max(0, tables.sectionCount - 1), true);
  for (const [i, header] of tables.programHeaders.entries()) {
    const at = 64 + i * 56;
    const [type = 0, flags = 0, offset = 0, vaddr = 0, fileBytes = 0, memBytes = 0, align = 0] = header;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    for (const [j, value] of [offset, vaddr, vaddr, fileBytes, memBytes, align].entries()) {
      view.setBigUint64(at + 8 + j * 8, BigInt(value), true);
    }
  }
}
