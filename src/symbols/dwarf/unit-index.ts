import { addressNumber } from '../address-number.ts';
import { appendRanges, isLinked } from './address-ranges.ts';
import { ByteCursor } from './byte-cursor.ts';
import { DW_UT_type } from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { DwarfFile } from './dwarf-file.ts';
import { NestedRanges } from './nested-ranges.ts';
import type { UnitHeader } from './unit.ts';
import { unitBaseAddress } from './unit-scopes.ts';

/**
 * Which unit the code at an address is of: by .debug_aranges, and for the units that it leaves out by what their own
 * entries say.
 */
export class UnitIndex {
  readonly #units: readonly UnitHeader[];
  readonly #ranges: NestedRanges;

  /** Units that cannot be read have no code here. */
  constructor(file: DwarfFile) {
    this.#units = file.units();
    // Ranges name addresses one by one, by index: kept whole, none of them is a read of its own.
    file.sections.whole('addr');
    const ranges: number[] = [];
    const owners: number[] = [];
    const covered = readAranges(file, this.#units, { ranges, owners });
    for (const [index, unit] of this.#units.entries()) {
      if (covered.has(index) || unit.type === DW_UT_type) continue;
      const before = ranges.length;
      try {
        appendRanges(file.read(unit).readAt(unit.firstEntry), unitBaseAddress(file, unit), ranges);
      } catch (error) {
        if (!(error instanceof DwarfError)) throw error;
        ranges.length = before;
      }
      for (let i = before; i < ranges.length; i += 2) owners.push(index);
    }
    this.#ranges = new NestedRanges(ranges, owners);
  }

  at(address: number): UnitHeader | undefined {
    const index = this.#ranges.at(address);
    return index < 0 ? undefined : this.#units[index];
  }
}

/**
 * ```
 * set = length | version u16 2 | unit offset | address size u8 | segment size u8 | padding to twice the address size
 *     | (address, length)* 0 0
 * ```
 * Source: DWARF 5, 6.1.2. A set that cannot be read ends the search: what it and the ones behind it name is found
 * otherwise.
 */
function readAranges(
  file: DwarfFile,
  units: readonly UnitHeader[],
  into: { ranges: number[]; owners: number[] },
): Set<number> {
  const covered = new Set<number>();
  const indexes = new Map(units.map((unit, index) => [unit.offset, index]));
  try {
    const bytes = file.sections.whole('aranges');
    const cursor = new ByteCursor(bytes, { file: file.name });
    while (!cursor.atEnd) {
      const start = cursor.at;
      let length = cursor.u32();
      const isLong = length === 0xffff_ffff;
      if (isLong) length = cursor.u64Number();
      const end = cursor.at + length;
      if (end > bytes.length) break;
      const version = cursor.u16();
      const index = indexes.get(isLong ? cursor.u64Number() : cursor.u32());
      const addressBytes = cursor.u8();
      const segmentBytes = cursor.u8();
      if (version === 2 && segmentBytes === 0 && addressBytes === 8 && index !== undefined) {
        const entryBytes = addressBytes * 2;
        cursor.at = start + Math.ceil((cursor.at - start) / entryBytes) * entryBytes;
        while (cursor.at + entryBytes <= end) {
          const address = addressNumber(cursor.u64());
          const size = cursor.u64Number();
          if (address === 0 && size === 0) break;
          if (size > 0 && isLinked(address) && Number.isSafeInteger(address + size)) {
            into.ranges.push(address, address + size);
            into.owners.push(index);
            covered.add(index);
          }
        }
      }
      cursor.at = end;
    }
  } catch (error) {
    if (!(error instanceof DwarfError)) throw error;
  }
  return covered;
}
