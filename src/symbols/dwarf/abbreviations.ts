import { ByteCursor } from './byte-cursor.ts';
import { DW_AT_declaration, DW_AT_sibling, DW_FORM_implicit_const } from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import { fixedFormBytes, type UnitEncoding } from './forms.ts';
import type { DwarfSections } from './sections.ts';

/** How the entries of one abbreviation code are laid out. */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  /** DW_AT_ and DW_FORM_ numbers, alternating. */
  readonly specs: readonly number[];
  /** The values of DW_FORM_implicit_const, by the attribute's index. */
  readonly implicit: ReadonlyMap<number, bigint> | undefined;
  /** Bytes of all values together, where that never changes; else -1. */
  readonly fixedBytes: number;
  readonly hasSibling: boolean;
  /** Has DW_AT_declaration: no entry of the code is a definition. */
  readonly isDeclaration: boolean;
}

/** The abbreviations of some units: by code, which compilers count from 1. */
export type AbbreviationTable = (code: number) => Abbreviation | undefined;

/**
 * The tables of .debug_abbrev, each parsed once. A file may let every unit begin a table elsewhere in the same bytes;
 * then all of them together would take its size squared, so what is parsed in all is bounded.
 */
export class Abbreviations {
  readonly #sections: DwarfSections;
  readonly #tables: Map<string, AbbreviationTable> = new Map();
  #parsedBytes: number = 0;

  constructor(sections: DwarfSections) {
    this.#sections = sections;
  }

  /** Throws {@link DwarfError} where there is no table that can be read. */
  at(offset: number, unit: UnitEncoding): AbbreviationTable {
    const key = `${offset} ${unit.addressBytes} ${unit.offsetBytes} ${unit.version <= 2}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = this.#parse(offset, unit);
      this.#tables.set(key, table);
    }
    return table;
  }

  /**
   * ```
   * table = { code uleb, tag uleb, has children u8, { attribute uleb, form uleb [, constant sleb] } 0 0 } 0
   * ```
   */
  #parse(offset: number, unit: UnitEncoding): AbbreviationTable {
    const { file } = this.#sections;
    const bytes = this.#sections.whole('abbrev');
    const cursor = new ByteCursor(bytes, { file, at: offset });
    const dense: (Abbreviation | undefined)[] = [];
    const sparse = new Map<number, Abbreviation>();
    for (;;) {
      const code = cursor.uleb();
      if (code === 0) break;
      const abbreviation = parseOne(cursor, unit);
      if (code <= dense.length + 1) dense[code] ??= abbreviation;
      else if (!sparse.has(code)) sparse.set(code, abbreviation);
      if (this.#parsedBytes + cursor.at - offset > bytes.length * mostPasses + freeBytes) {
        throw new DwarfError(file, 'its abbreviation tables overlap');
      }
    }
    this.#parsedBytes += cursor.at - offset;
    return (code) => dense[code] ?? sparse.get(code);
  }
}

/** How often over .debug_abbrev may be parsed: more than once only where units of different encodings share a table. */
const mostPasses = 4;
const freeBytes = 1 << 20;

function parseOne(cursor: ByteCursor, unit: UnitEncoding): Abbreviation {
  const tag = cursor.uleb();
  const hasChildren = cursor.u8() !== 0;
  const specs: number[] = [];
  let implicit: Map<number, bigint> | undefined;
  let fixedBytes = 0;
  let hasSibling = false;
  let isDeclaration = false;
  for (;;) {
    const attribute = cursor.uleb();
    const form = cursor.uleb();
    if (attribute === 0 && form === 0) break;
    if (attribute === DW_AT_sibling) hasSibling = true;
    if (attribute === DW_AT_declaration) isDeclaration = true;
    if (form === DW_FORM_implicit_const) {
      implicit ??= new Map();
      implicit.set(specs.length / 2, cursor.slebBig());
    }
    specs.push(attribute, form);
    const bytes = fixedFormBytes(form, unit);
    fixedBytes = bytes === undefined || fixedBytes < 0 ? -1 : fixedBytes + bytes;
  }
  return { tag, hasChildren, specs, implicit, fixedBytes, hasSibling, isDeclaration };
}
