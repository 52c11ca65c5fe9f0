import type { AbbreviationTable } from './abbreviations.ts';
import { ByteCursor } from './byte-cursor.ts';
import {
  DW_UT_compile,
  DW_UT_skeleton,
  DW_UT_split_compile,
  DW_UT_split_type,
  DW_UT_type,
} from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { UnitEncoding } from './forms.ts';

/** What stands before the entries of a unit. Offsets are {@link UnitHeader.offset} based, as all of a file's. */
export interface UnitHeader extends UnitEncoding {
  /**
   * Where the unit begins. The units of .debug_types (DWARF 4) come behind those of .debug_info: their offsets have the
   * size of .debug_info added.
   */
  readonly offset: number;
  /** Where the next unit begins. */
  readonly end: number;
  /** DW_UT_: what kind of unit. */
  readonly type: number;
  readonly abbreviationOffset: number;
  /** Where the unit's own entry is. */
  readonly firstEntry: number;
  /** Of a type unit: what DW_FORM_ref_sig8 names it by, and where its type is. */
  readonly signature?: bigint;
  readonly typeEntry?: number;
  /** Of split debug information: what the two halves have in common (DWARF 5). */
  readonly dwoId?: bigint;
}

/** A unit that is being read. */
export interface LoadedUnit extends UnitHeader {
  /** The bytes from {@link UnitHeader.offset} to {@link UnitHeader.end}. */
  readonly bytes: Uint8Array;
  readonly abbreviations: AbbreviationTable;
}

/** The most bytes that a unit's header has. */
export const mostHeaderBytes = 40;

/**
 * ```
 * unit_length  u32, or ffffffff and u64 (the 64-bit format)      bytes behind it
 * version      u16
 * version 5:   unit_type u8, address_size u8, debug_abbrev_offset
 *              skeleton and split: dwo_id u64; types: type_signature u64, type_offset
 * version 2-4: debug_abbrev_offset, address_size u8
 *              .debug_types: type_signature u64, type_offset
 * ```
 *
 * @param bytes the header's bytes, or as many as there are.
 * @param place.end where the section ends, in the same count as `offset`.
 * @throws {DwarfError} for a header that is not all there, or of an unknown version. Its `end` is then lost too.
 */
export function readUnitHeader(
  bytes: Uint8Array,
  place: { file: string; offset: number; end: number; inTypes: boolean },
): UnitHeader {
  const { file, offset } = place;
  const cursor = new ByteCursor(bytes, { file });
  const first = cursor.u32();
  const offsetBytes = first === 0xffff_ffff ? 8 : 4;
  const lengthBytes = offsetBytes === 8 ? cursor.u64Number() : first;
  const end = offset + cursor.at + lengthBytes;
  if (first >= 0xffff_fff0 && offsetBytes === 4) {
    throw new DwarfError(file, `a unit of the reserved length 0x${first.toString(16)}`);
  }
  if (end > place.end) {
    throw new DwarfError(
      file,
      `truncated: the unit at ${offset} ends at ${end}, its section at ${place.end}`,
    );
  }
  const version = cursor.u16();
  if (version < 2 || version > 5) throw new DwarfError(file, `version ${version} of DWARF is not read`);
  const readOffset = (): number => (offsetBytes === 8 ? cursor.u64Number() : cursor.u32());
  let type = place.inTypes ? DW_UT_type : DW_UT_compile;
  let addressBytes: number;
  let abbreviationOffset: number;
  if (version >= 5) {
    type = cursor.u8();
    addressBytes = cursor.u8();
    abbreviationOffset = readOffset();
  } else {
    abbreviationOffset = readOffset();
    addressBytes = cursor.u8();
  }
  if (addressBytes !== 4 && addressBytes !== 8) {
    throw new DwarfError(file, `addresses of ${addressBytes} bytes are not read`);
  }
  const encoding = { version, offsetBytes, addressBytes } as const;
  const header = { ...encoding, offset, end, type, abbreviationOffset };
  let more = {};
  if (type === DW_UT_type || type === DW_UT_split_type) {
    more = { signature: cursor.u64(), typeEntry: offset + readOffset() };
  } else if (type === DW_UT_skeleton || type === DW_UT_split_compile) {
    more = { dwoId: cursor.u64() };
  }
  const firstEntry = offset + cursor.at;
  if (firstEntry > end) throw new DwarfError(file, `the unit at ${offset} is smaller than its header`);
  return { ...header, ...more, firstEntry };
}
