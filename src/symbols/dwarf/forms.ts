import type { ByteCursor } from './byte-cursor.ts';
import * as dw from './constants.ts';
import { DwarfError } from './dwarf-error.ts';

/** What the size of some forms depends on: the unit's. */
export interface UnitEncoding {
  readonly version: number;
  /** 4 in the 32-bit format of DWARF, 8 in the 64-bit format. */
  readonly offsetBytes: 4 | 8;
  readonly addressBytes: number;
}

/** Bytes that a value of `form` has, where it always has as many; `undefined` where the value itself tells. */
export function fixedFormBytes(form: number, unit: UnitEncoding): number | undefined {
  switch (form) {
    case dw.DW_FORM_flag_present:
    case dw.DW_FORM_implicit_const:
      return 0;
    case dw.DW_FORM_data1:
    case dw.DW_FORM_ref1:
    case dw.DW_FORM_flag:
    case dw.DW_FORM_strx1:
    case dw.DW_FORM_addrx1:
      return 1;
    case dw.DW_FORM_data2:
    case dw.DW_FORM_ref2:
    case dw.DW_FORM_strx2:
    case dw.DW_FORM_addrx2:
      return 2;
    case dw.DW_FORM_strx3:
    case dw.DW_FORM_addrx3:
      return 3;
    case dw.DW_FORM_data4:
    case dw.DW_FORM_ref4:
    case dw.DW_FORM_ref_sup4:
    case dw.DW_FORM_strx4:
    case dw.DW_FORM_addrx4:
      return 4;
    case dw.DW_FORM_data8:
    case dw.DW_FORM_ref8:
    case dw.DW_FORM_ref_sup8:
    case dw.DW_FORM_ref_sig8:
      return 8;
    case dw.DW_FORM_data16:
      return 16;
    case dw.DW_FORM_addr:
      return unit.addressBytes;
    case dw.DW_FORM_ref_addr:
      return unit.version <= 2 ? unit.addressBytes : unit.offsetBytes;
    case dw.DW_FORM_strp:
    case dw.DW_FORM_line_strp:
    case dw.DW_FORM_sec_offset:
    case dw.DW_FORM_strp_sup:
    case dw.DW_FORM_GNU_ref_alt:
    case dw.DW_FORM_GNU_strp_alt:
      return unit.offsetBytes;
    default:
      return undefined;
  }
}

/** Passes over a value. Throws {@link DwarfError} for a form that is not known: where it ends is not known either. */
export function skipForm(cursor: ByteCursor, form: number, unit: UnitEncoding, file: string): void {
  const fixed = fixedFormBytes(form, unit);
  if (fixed !== undefined) {
    cursor.skip(fixed);
    return;
  }
  switch (form) {
    case dw.DW_FORM_string: {
      cursor.cstring();
      return;
    }
    case dw.DW_FORM_udata:
    case dw.DW_FORM_sdata:
    case dw.DW_FORM_ref_udata:
    case dw.DW_FORM_strx:
    case dw.DW_FORM_addrx:
    case dw.DW_FORM_loclistx:
    case dw.DW_FORM_rnglistx:
    case dw.DW_FORM_GNU_addr_index:
    case dw.DW_FORM_GNU_str_index:
      cursor.skipLeb();
      return;
    case dw.DW_FORM_exprloc:
    case dw.DW_FORM_block:
      cursor.skip(cursor.uleb());
      return;
    case dw.DW_FORM_block1:
      cursor.skip(cursor.u8());
      return;
    case dw.DW_FORM_block2:
      cursor.skip(cursor.u16());
      return;
    case dw.DW_FORM_block4:
      cursor.skip(cursor.u32());
      return;
    case dw.DW_FORM_indirect: {
      const inner = cursor.uleb();
      // An indirect form of an indirect form would be a loop that a hostile file may make long.
      if (inner === dw.DW_FORM_indirect || inner === dw.DW_FORM_implicit_const) break;
      skipForm(cursor, inner, unit, file);
      return;
    }
  }
  throw new DwarfError(file, `a value of the unknown form 0x${form.toString(16)}`);
}
