import { decodeUtf8 } from '../../base/text.ts';
import { addressOrder } from '../address-order.ts';
import { isLinked } from './address-ranges.ts';
import { ByteCursor } from './byte-cursor.ts';
import { DwarfError } from './dwarf-error.ts';
import { type LineFile, type LineRows, LineTable, noFile } from './line-table.ts';

/** What a line program is read from. */
export interface LineProgramInput {
  /** The section .debug_line or .debug_line.dwo. */
  readonly section: Uint8Array;
  /** DW_AT_stmt_list. */
  readonly offset: number;
  /** DW_AT_comp_dir, which a table before version 5 does not hold. */
  readonly compilationDirectory: string;
  /** DW_AT_name, which file 0 means before version 5. */
  readonly unitName: string;
  /** The text of `.debug_str`, `.debug_line_str` (or of the shared file, `strp_sup`) at an offset; of `.debug_str_offsets` at an index. */
  readonly string: (form: 'str' | 'line_str' | 'sup' | 'strx', value: number) => string;
  /** Names the file in errors. */
  readonly name: string;
}

/** The header of a line program, read up to the program itself. */
interface Header {
  readonly minInstructionBytes: number;
  readonly mostOperations: number;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  readonly operandCounts: Uint8Array;
  readonly directories: string[];
  readonly files: (LineFile | undefined)[];
  /** Number of the first file in `files`: what `DW_LNE_define_file` continues. */
  readonly version: number;
}

/**
 * Runs the line program at `offset`: versions 2 to 5, 32- and 64-bit.
 *
 * ```
 * unit    = length u32 (or ffffffff and u64) | version u16 | [5: address size u8 | segment size u8]
 *         | header length | header | program
 * header  = min instruction u8 | [4: operations u8] | default is_stmt u8 | line base i8 | line range u8
 *         | opcode base u8 | operand counts u8[opcode base - 1]
 *         | 2-4: directories cstring* 00 | files (cstring dir uleb time uleb size uleb)* 00
 *         | 5: directories and files, each: format count u8, (content uleb, form uleb)*, count uleb, entries
 * program = 00 size uleb extended | 01..opcode base - 1 standard | special: line and address advance together
 * ```
 * Source: DWARF 5, 6.2 "Line Number Information".
 *
 * @throws {DwarfError} where it is cut, of an unknown version, or larger than any compiler makes.
 */
export function readLineProgram(input: LineProgramInput): LineTable {
  const { section, offset, name } = input;
  if (!(offset >= 0 && offset < section.length)) {
    throw new DwarfError(name, `a unit's line table is at ${offset}, outside .debug_line`);
  }
  const cursor = new ByteCursor(section, { file: name, at: offset });
  let length = cursor.u32();
  let offsetBytes: 4 | 8 = 4;
  if (length === 0xffff_ffff) {
    length = cursor.u64Number();
    offsetBytes = 8;
  } else if (length >= 0xffff_fff0) throw new DwarfError(name, 'a line table has a reserved length');
  const end = cursor.at + length;
  if (end > section.length) throw new DwarfError(name, 'a line table is cut');
  const unit = new ByteCursor(section, { file: name, at: cursor.at, end });
  const version = unit.u16();
  if (version < 2 || version > 5) throw new DwarfError(name, `line table version ${version} is not known`);
  let addressBytes = 8;
  if (version >= 5) {
    addressBytes = unit.u8();
    unit.skip(1);
  }
  const headerLength = offsetBytes === 8 ? unit.u64Number() : unit.u32();
  const programAt = unit.at + headerLength;
  if (programAt > end) throw new DwarfError(name, 'a line table header is cut');
  const header = readHeader(new ByteCursor(section, { file: name, at: unit.at, end: programAt }), {
    input,
    version,
    offsetBytes,
  });
  const rows = run(name, new ByteCursor(section, { file: name, at: programAt, end }), header, addressBytes);
  return new LineTable(rows, header.files, header.directories);
}

const mostFiles = 1_000_000;
const mostRows = 32_000_000;

function readHeader(
  cursor: ByteCursor,
  context: { input: LineProgramInput; version: number; offsetBytes: 4 | 8 },
): Header {
  const { input, version } = context;
  const minInstructionBytes = cursor.u8();
  const mostOperations = version >= 4 ? cursor.u8() : 1;
  cursor.skip(1); // default is_stmt: every row counts here
  const lineBase = (cursor.u8() << 24) >> 24;
  const lineRange = cursor.u8();
  const opcodeBase = cursor.u8();
  if (opcodeBase === 0) throw new DwarfError(input.name, 'a line table has opcode base 0');
  const countsAt = cursor.at;
  cursor.skip(opcodeBase - 1);
  const operandCounts = cursor.bytes.subarray(countsAt, countsAt + opcodeBase - 1);
  const names = version >= 5 ? readEntries(cursor, context) : readOldNames(cursor, input);
  return {
    minInstructionBytes,
    mostOperations,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    version,
    ...names,
  };
}

function readOldNames(
  cursor: ByteCursor,
  input: LineProgramInput,
): { directories: string[]; files: (LineFile | undefined)[] } {
  const directories = [input.compilationDirectory];
  for (let text = readText(cursor); text !== ''; text = readText(cursor)) directories.push(text);
  // File 0 is not in the table; some producers mean the unit's own.
  const files: LineFile[] = [{ name: input.unitName, directory: 0 }];
  for (let text = readText(cursor); text !== ''; text = readText(cursor)) {
    files.push({ name: text, directory: cursor.uleb() });
    cursor.uleb();
    cursor.uleb();
  }
  return { directories, files };
}

function readText(cursor: ByteCursor): string {
  return decodeUtf8(cursor.cstring());
}

const DW_LNCT_path = 1;
const DW_LNCT_directory_index = 2;

function readEntries(
  cursor: ByteCursor,
  context: { input: LineProgramInput; offsetBytes: 4 | 8 },
): { directories: string[]; files: LineFile[] } {
  const directories = readTable(cursor, context).map((entry) => entry.name);
  return { directories, files: readTable(cursor, context) };
}

/** One of version 5's two tables; directories are files without a directory. */
function readTable(cursor: ByteCursor, context: { input: LineProgramInput; offsetBytes: 4 | 8 }): LineFile[] {
  const formatCount = cursor.u8();
  const format: { content: number; form: number }[] = [];
  for (let i = 0; i < formatCount; i++) format.push({ content: cursor.uleb(), form: cursor.uleb() });
  const count = cursor.uleb();
  // An entry without a format takes no bytes: then nothing but this bounds the count.
  if (count > mostFiles || (formatCount === 0 && count > 0)) {
    throw new DwarfError(context.input.name, `a line table claims ${count} files`);
  }
  const entries: LineFile[] = [];
  for (let i = 0; i < count; i++) {
    let name = '';
    let directory = 0;
    for (const { content, form } of format) {
      const value = readForm(cursor, form, context);
      if (content === DW_LNCT_path && typeof value === 'string') name = value;
      else if (content === DW_LNCT_directory_index && typeof value === 'number') directory = value;
    }
    entries.push({ name, directory });
  }
  return entries;
}

/** The value of a form that a version 5 table may use; `undefined` for blocks (MD5 sums). Source: DWARF 5, 6.2.4.1. */
function readForm(
  cursor: ByteCursor,
  form: number,
  { input, offsetBytes }: { input: LineProgramInput; offsetBytes: 4 | 8 },
): string | number | undefined {
  const sectionOffset = (): number => (offsetBytes === 8 ? cursor.u64Number() : cursor.u32());
  switch (form) {
    case 0x08: // string
      return readText(cursor);
    case 0x0e: // strp
      return input.string('str', sectionOffset());
    case 0x1f: // line_strp
      return input.string('line_str', sectionOffset());
    case 0x1d: // strp_sup
    case 0x1f21: // GNU_strp_alt
      return input.string('sup', sectionOffset());
    case 0x1a: // strx
      return input.string('strx', cursor.uleb());
    case 0x25: // strx1
      return input.string('strx', cursor.u8());
    case 0x26: // strx2
      return input.string('strx', cursor.u16());
    case 0x27: // strx3
      return input.string('strx', cursor.u24());
    case 0x28: // strx4
      return input.string('strx', cursor.u32());
    case 0x0b: // data1
      return cursor.u8();
    case 0x05: // data2
      return cursor.u16();
    case 0x06: // data4
      return cursor.u32();
    case 0x07: // data8
      return cursor.u64Number();
    case 0x0f: // udata
      return cursor.uleb();
    case 0x1e: // data16
      cursor.skip(16);
      return undefined;
    case 0x09: // block
      cursor.skip(cursor.uleb());
      return undefined;
    case 0x0a: // block1
      cursor.skip(cursor.u8());
      return undefined;
    default:
      throw new DwarfError(input.name, `a line table uses form 0x${form.toString(16)}`);
  }
}

/** Rows as the program makes them, in sequences. */
class RowBuilder {
  #addresses = new Float64Array(1024);
  #files = new Uint32Array(1024);
  #lines = new Uint32Array(1024);
  #columns = new Uint16Array(1024);
  #count = 0;
  /** Where the sequence that is being made begins. */
  #sequenceAt = 0;
  /** Finished sequences: their first row and the address there. */
  readonly #sequences: { readonly start: number; readonly end: number; readonly address: number }[] = [];
  #sorted = true;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(address: number, file: number, line: number, column: number): void {
    const at = this.#count;
    if (at === this.#addresses.length) this.#grow();
    this.#addresses[at] = address;
    this.#files[at] = file;
    this.#lines[at] = line;
    this.#columns[at] = column;
    if (at > this.#sequenceAt && !(address >= this.#addresses[at - 1]!)) this.#sorted = false; // at > 0
    this.#count = at + 1;
  }

  /** Ends the sequence at `address`. One that is empty, was dropped by the linker, or runs backwards does not count. */
  endSequence(address: number): void {
    this.add(address, noFile, 0, 0);
    const start = this.#sequenceAt;
    const first = this.#addresses[start]!; // a row has just been added
    if (this.#sorted && address > first && isLinked(first)) {
      this.#sequences.push({ start, end: this.#count, address: first });
      this.#sequenceAt = this.#count;
    } else {
      this.#count = start;
    }
    this.#sorted = true;
  }

  /** The sequences in the order of their addresses. */
  build(): LineRows {
    // Rows behind the last end of a sequence have no end: they say nothing.
    const count = this.#sequenceAt;
    const starts = Float64Array.from(this.#sequences, (sequence) => sequence.address);
    const order = addressOrder(starts);
    const rows = {
      addresses: new Float64Array(count),
      files: new Uint32Array(count),
      lines: new Uint32Array(count),
      columns: new Uint16Array(count),
    };
    let kept = 0;
    let previousEnd = Number.NEGATIVE_INFINITY;
    for (const index of order) {
      const { start, end, address } = this.#sequences[index]!; // the order is of these
      // The end of one and the start of the next are one address: the start counts.
      if (kept > 0 && address === previousEnd) kept--;
      // Code that two sequences claim is nobody's mistake but the producer's: the first keeps it.
      else if (address < previousEnd) continue;
      rows.addresses.set(this.#addresses.subarray(start, end), kept);
      rows.files.set(this.#files.subarray(start, end), kept);
      rows.lines.set(this.#lines.subarray(start, end), kept);
      rows.columns.set(this.#columns.subarray(start, end), kept);
      kept += end - start;
      previousEnd = rows.addresses[kept - 1]!; // a sequence has two rows at least
    }
    if (kept === count) return rows;
    return {
      addresses: rows.addresses.slice(0, kept),
      files: rows.files.slice(0, kept),
      lines: rows.lines.slice(0, kept),
      columns: rows.columns.slice(0, kept),
    };
  }

  #grow(): void {
    const length = this.#addresses.length * 2;
    if (length > mostRows)
      throw new DwarfError(this.#name, 'a line table has more rows than any compiler makes');
    const grown = <A extends Float64Array | Uint32Array | Uint16Array>(from: A, to: A): A => {
      to.set(from);
      return to;
    };
    this.#addresses = grown(this.#addresses, new Float64Array(length));
    this.#files = grown(this.#files, new Uint32Array(length));
    this.#lines = grown(this.#lines, new Uint32Array(length));
    this.#columns = grown(this.#columns, new Uint16Array(length));
  }
}

function run(fileName: string, cursor: ByteCursor, header: Header, addressBytes: number): LineRows {
  const { lineBase, lineRange, opcodeBase, operandCounts, minInstructionBytes } = header;
  const mostOperations = Math.max(1, header.mostOperations);
  const builder = new RowBuilder(fileName);
  const { bytes, end } = cursor;
  let address = 0;
  let operation = 0;
  let file = 1;
  let line = 1;
  let column = 0;
  const advance = (operations: number): void => {
    if (mostOperations === 1) address += minInstructionBytes * operations;
    else {
      address += minInstructionBytes * Math.floor((operation + operations) / mostOperations);
      operation = (operation + operations) % mostOperations;
    }
  };
  while (cursor.at < end) {
    const opcode = bytes[cursor.at++]!; // below `end`
    if (opcode >= opcodeBase) {
      if (lineRange === 0) throw new DwarfError(fileName, 'a line table has line range 0');
      const adjusted = opcode - opcodeBase;
      const operations = Math.floor(adjusted / lineRange);
      advance(operations);
      line += lineBase + (adjusted - operations * lineRange);
      builder.add(address, file, line, column);
      continue;
    }
    switch (opcode) {
      case 0: {
        const size = cursor.uleb();
        const next = cursor.at + size;
        if (!(next <= end)) throw new DwarfError(fileName, 'a line table is cut');
        const extended = size === 0 ? 0 : bytes[cursor.at++]!; // below `next`
        if (extended === 1) {
          builder.endSequence(address);
          address = 0;
          operation = 0;
          file = 1;
          line = 1;
          column = 0;
        } else if (extended === 2) {
          address = readAddress(cursor, size - 1, addressBytes);
          operation = 0;
        } else if (extended === 3) {
          const name = readText(cursor);
          header.files.push({ name, directory: cursor.uleb() });
        }
        // Discriminators, and what is not known, change no line.
        cursor.at = next;
        break;
      }
      case 1: // copy
        builder.add(address, file, line, column);
        break;
      case 2: // advance_pc
        advance(cursor.uleb());
        break;
      case 3: // advance_line
        line += sleb(cursor);
        break;
      case 4: // set_file
        file = cursor.uleb();
        break;
      case 5: // set_column
        column = cursor.uleb();
        break;
      case 6: // negate_stmt
      case 7: // set_basic_block
      case 10: // set_prologue_end
      case 11: // set_epilogue_begin
        break;
      case 8: // const_add_pc
        if (lineRange === 0) throw new DwarfError(fileName, 'a line table has line range 0');
        advance(Math.floor((255 - opcodeBase) / lineRange));
        break;
      case 9: // fixed_advance_pc
        address += cursor.u16();
        operation = 0;
        break;
      case 12: // set_isa
        cursor.uleb();
        break;
      default:
        for (let i = operandCounts[opcode - 1] ?? 0; i > 0; i--) cursor.uleb();
    }
  }
  return builder.build();
}

/** A signed LEB128 number, inexact where it is none of a line. */
function sleb(cursor: ByteCursor): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = cursor.u8();
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale;
  }
}

/** As an `addressNumber`, NaN where it is none. */
function readAddress(cursor: ByteCursor, sizeBytes: number, unitBytes: number): number {
  const size = sizeBytes === 4 || sizeBytes === 8 ? sizeBytes : unitBytes;
  if (size === 4) return cursor.u32();
  const low = cursor.u32();
  const high = cursor.u32() | 0;
  const value = high * 0x1_0000_0000 + low;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}
