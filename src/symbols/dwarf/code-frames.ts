import { addressNumber } from '../address-number.ts';
import type { DebugInfo } from '../debug-info.ts';
import { ElfError } from '../elf-error.ts';
import { ByteCursor } from './byte-cursor.ts';
import { DW_AT_comp_dir, DW_AT_name, DW_AT_stmt_list } from './constants.ts';
import type { DwarfFile } from './dwarf-file.ts';
import { readLineProgram } from './line-program.ts';
import type { LineTable } from './line-table.ts';
import type { UnitHeader } from './unit.ts';
import { UnitIndex } from './unit-index.ts';
import { type FunctionScope, UnitScopes, unitBaseAddress } from './unit-scopes.ts';

/** A function that is being run at an address, and where in its source. */
export interface CodeFrame {
  /** The linker's name (mangled) or the plain one; `undefined` where debug information names none. */
  readonly function: string | undefined;
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  /** Whether it was inlined into the next frame. */
  readonly inlined: boolean;
}

/** The one program at `offset`, as far as it says it goes, without the rest of the section. */
function lineProgramBytes(dwarf: DwarfFile, offset: number): Uint8Array {
  const head = dwarf.sections.range('line', offset, 12);
  const cursor = new ByteCursor(head, { file: dwarf.name });
  const length = cursor.u32();
  const bytes = length === 0xffff_ffff ? 12 + cursor.u64Number() : 4 + length;
  return dwarf.sections.range('line', offset, Math.min(bytes, dwarf.sections.sizeBytes('line')));
}

/** One unit's two tables, each read when first asked for. `undefined`: it has none that can be read. */
interface UnitCode {
  lines?: { readonly table: LineTable | undefined };
  scopes?: { readonly table: UnitScopes | undefined };
}

/** Functions and lines of a module's code, by vaddr. Units are read when an address is of them, and kept. */
export class CodeFrames {
  readonly #info: DebugInfo;
  #index: UnitIndex | undefined;
  readonly #units: Map<number, UnitCode> = new Map();
  readonly #tables: Map<number, LineTable> = new Map();
  #problem: ElfError | undefined;

  constructor(info: DebugInfo) {
    this.#info = info;
  }

  /** The first thing that could not be read. */
  get problem(): ElfError | undefined {
    return this.#problem;
  }

  /**
   * The frames at a vaddr, innermost first: the last is the function that the code is in, the ones before it were
   * inlined. Empty where there is no debug information for it; one frame without a function where only lines are known.
   */
  at(vaddr: bigint): CodeFrame[] {
    const address = addressNumber(vaddr);
    const { dwarf } = this.#info;
    this.#index ??= this.#attempt(() => new UnitIndex(dwarf));
    const unit = this.#index?.at(address);
    if (unit === undefined) return [];
    const lines = this.#linesOf(unit);
    const scopes = this.#attempt(() => this.#scopesOf(unit)?.at(address)) ?? [];
    const place = lines?.at(address);
    const frames: CodeFrame[] = [];
    let { file, line, column } = place ?? { file: undefined, line: 0, column: 0 };
    const add = (scope: FunctionScope | undefined): void => {
      frames.push({
        function: scope?.name,
        ...(file === undefined ? {} : { file }),
        ...(line > 0 && file !== undefined ? { line } : {}),
        ...(column > 0 && line > 0 && file !== undefined ? { column } : {}),
        inlined: scope?.call !== undefined,
      });
    };
    for (const scope of scopes) {
      add(scope);
      if (scope.call === undefined) break;
      file = lines?.path(scope.call.file);
      ({ line, column } = scope.call);
    }
    if (scopes.length === 0 && place !== undefined) add(undefined);
    return frames;
  }

  #unitOf(unit: UnitHeader): UnitCode {
    let code = this.#units.get(unit.offset);
    if (code === undefined) {
      code = {};
      this.#units.set(unit.offset, code);
    }
    return code;
  }

  #linesOf(unit: UnitHeader): LineTable | undefined {
    const code = this.#unitOf(unit);
    code.lines ??= { table: this.#attempt(() => this.#readLines(unit)) };
    return code.lines.table;
  }

  #readLines(unit: UnitHeader): LineTable | undefined {
    const { dwarf } = this.#info;
    const entry = dwarf.read(unit).readAt(unit.firstEntry);
    const offset = entry.sectionOffset(DW_AT_stmt_list);
    if (offset === undefined) return undefined;
    // Units may share a table; a hostile file makes all of them share the largest.
    const known = this.#tables.get(offset);
    if (known !== undefined) return known;
    const loaded = dwarf.load(unit);
    const table = readLineProgram({
      section: lineProgramBytes(dwarf, offset),
      offset: 0,
      compilationDirectory: entry.string(DW_AT_comp_dir) ?? '',
      unitName: entry.string(DW_AT_name) ?? '',
      string: (form, value) => {
        if (form === 'strx') return dwarf.indexedString(loaded, value);
        return form === 'sup' ? dwarf.supplementary().string('str', value) : dwarf.string(form, value);
      },
      name: dwarf.name,
    });
    this.#tables.set(offset, table);
    return table;
  }

  #scopesOf(unit: UnitHeader): UnitScopes | undefined {
    const code = this.#unitOf(unit);
    code.scopes ??= { table: this.#attempt(() => this.#readScopes(unit)) };
    return code.scopes.table;
  }

  #readScopes(unit: UnitHeader): UnitScopes {
    const { dwarf, split } = this.#info;
    const base = unitBaseAddress(dwarf, unit);
    const full: { file: DwarfFile; unit: UnitHeader } = split.unitOf(unit) ?? { file: dwarf, unit };
    return new UnitScopes(full.file, full.unit, base);
  }

  /** A part that cannot be read is as good as none: the rest works on. */
  #attempt<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      this.#problem ??= error;
      return undefined;
    }
  }
}
