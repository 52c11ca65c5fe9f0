import { addressNumber } from '../address-number.ts';
import { ByteCursor } from './byte-cursor.ts';
import { DW_AT_high_pc, DW_AT_low_pc, DW_AT_ranges } from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { EntryReader } from './entry-reader.ts';

/**
 * Appends the addresses of the code that the reader's entry is about to `ranges`: start and end (behind the last byte) of
 * each piece, as `addressNumber`s. Pieces that are empty, or that the linker dropped, are left out.
 *
 * ```
 * DW_AT_low_pc and DW_AT_high_pc: an address and an address, or an address and a length
 * DW_AT_ranges: version 4 an offset in .debug_ranges: pairs of addresses; 0 0 ends, all ones set the base
 *               version 5 an offset or index in .debug_rnglists: DW_RLE_ entries
 * ```
 * Source: DWARF 5, 2.17.
 *
 * @param baseAddress what pairs count from: DW_AT_low_pc of the unit.
 * @throws {DwarfError} for a list that cannot be read or does not end.
 */
export function appendRanges(entry: EntryReader, baseAddress: number, ranges: number[]): void {
  const { unit, file } = entry;
  if (entry.has(DW_AT_ranges)) {
    if (unit.version >= 5) {
      const offset = entry.sectionOffset(DW_AT_ranges) ?? listOffset(entry);
      if (offset !== undefined) appendRangeList(entry, offset, { baseAddress, ranges });
      return;
    }
    const offset = entry.sectionOffset(DW_AT_ranges);
    if (offset !== undefined) {
      const base = entry.file.skeleton?.rangesBase ?? 0;
      appendOldList(entry, offset + base, { baseAddress, ranges });
    }
    return;
  }
  const low = entry.address(DW_AT_low_pc);
  if (low === undefined) return;
  const high = entry.address(DW_AT_high_pc);
  const start = addressNumber(low);
  if (high !== undefined) {
    appendRange(ranges, start, addressNumber(high));
    return;
  }
  const size = entry.size(DW_AT_high_pc);
  if (size === undefined && entry.has(DW_AT_high_pc))
    throw new DwarfError(file.name, 'a DW_AT_high_pc of no known form');
  if (size !== undefined) appendRange(ranges, start, start + size);
}

/**
 * Whether code at `address` can be there: linkers set the addresses of dropped functions to 0 or 1, -1 or -2. Source:
 * lld's and GNU ld's manuals, `-z dead-reloc-in-nonalloc`.
 */
export function isLinked(address: number): boolean {
  return Number.isSafeInteger(address) && (address > 1 || address < -2);
}

function appendRange(ranges: number[], start: number, end: number): void {
  if (start < end && isLinked(start) && Number.isSafeInteger(end)) ranges.push(start, end);
}

interface ListTarget {
  readonly baseAddress: number;
  readonly ranges: number[];
}

function appendOldList(entry: EntryReader, offset: number, { baseAddress, ranges }: ListTarget): void {
  const { file, unit } = entry;
  const sections = file.skeleton?.sections ?? file.sections;
  const cursor = new ByteCursor(sections.whole('ranges'), { file: file.name, at: offset });
  const ones = BigInt.asUintN(unit.addressBytes * 8, -1n);
  let base = baseAddress;
  let dropped = false;
  for (;;) {
    const start = cursor.unsigned(unit.addressBytes);
    const end = cursor.unsigned(unit.addressBytes);
    if (start === 0n && end === 0n) return;
    if (start === ones) {
      base = addressNumber(end);
      dropped = !isLinked(base);
    } else if (!dropped) appendRange(ranges, addressNumber(start) + base, addressNumber(end) + base);
    checkCount(ranges, file.name);
  }
}

function appendRangeList(entry: EntryReader, offset: number, { baseAddress, ranges }: ListTarget): void {
  const { file, unit } = entry;
  const cursor = new ByteCursor(file.sections.whole('rnglists'), { file: file.name, at: offset });
  const address = (): number => addressNumber(cursor.unsigned(unit.addressBytes));
  const indexed = (): number => addressNumber(file.addressAt(unit, cursor.uleb()));
  let base = baseAddress;
  // Of a base that is given; the unit's own is 0 where its pieces lie apart.
  let dropped = false;
  for (;;) {
    const kind = cursor.u8();
    switch (kind) {
      case 0: // DW_RLE_end_of_list
        return;
      case 1: // base_addressx
        base = indexed();
        dropped = !isLinked(base);
        break;
      case 2: {
        // startx_endx
        const start = indexed();
        appendRange(ranges, start, indexed());
        break;
      }
      case 3: {
        // startx_length
        const start = indexed();
        appendRange(ranges, start, start + cursor.uleb());
        break;
      }
      case 4: {
        // offset_pair
        const start = base + cursor.uleb();
        const end = base + cursor.uleb();
        if (!dropped) appendRange(ranges, start, end);
        break;
      }
      case 5: // base_address
        base = address();
        dropped = !isLinked(base);
        break;
      case 6: {
        // start_end
        const start = address();
        appendRange(ranges, start, address());
        break;
      }
      case 7: {
        // start_length
        const start = address();
        appendRange(ranges, start, start + cursor.uleb());
        break;
      }
      default:
        throw new DwarfError(file.name, `a range list entry of the unknown kind ${kind}`);
    }
    checkCount(ranges, file.name);
  }
}

/** Where in .debug_rnglists the list of DW_FORM_rnglistx is: through the offsets behind the header. */
function listOffset(entry: EntryReader): number | undefined {
  const { file, unit } = entry;
  const index = entry.listIndex(DW_AT_ranges);
  if (index === undefined) return undefined;
  const headerBytes = unit.offsetBytes === 8 ? 20 : 12;
  const base = file.bases(unit).rnglists ?? headerBytes;
  const at = base + index * unit.offsetBytes;
  const cursor = new ByteCursor(file.sections.whole('rnglists'), { file: file.name, at });
  return base + (unit.offsetBytes === 8 ? cursor.u64Number() : cursor.u32());
}

/** A hostile file may let many entries name one long list: what one unit may collect is bounded. */
function checkCount(ranges: readonly number[], file: string): void {
  if (ranges.length > mostNumbers)
    throw new DwarfError(file, 'a unit has more ranges than any compiler makes');
}

const mostNumbers = 8_000_000;
