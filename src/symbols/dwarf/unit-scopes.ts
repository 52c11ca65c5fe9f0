import { addressNumber } from '../address-number.ts';
import { appendRanges } from './address-ranges.ts';
import {
  DW_AT_abstract_origin,
  DW_AT_call_column,
  DW_AT_call_file,
  DW_AT_call_line,
  DW_AT_linkage_name,
  DW_AT_low_pc,
  DW_AT_MIPS_linkage_name,
  DW_AT_name,
  DW_AT_specification,
  DW_TAG_inlined_subroutine,
  DW_TAG_subprogram,
} from './constants.ts';
import type { DwarfFile } from './dwarf-file.ts';
import type { EntryReader } from './entry-reader.ts';
import { NestedRanges } from './nested-ranges.ts';
import type { UnitHeader } from './unit.ts';

/** A function of the source whose code an address is in. */
export interface FunctionScope {
  /** The linker's name (mangled) where there is one, else the plain name. */
  readonly name: string | undefined;
  /** Where this function was called, for one that was inlined: a file of the unit's line table, from 1; 0 unknown. */
  readonly call: { readonly file: number; readonly line: number; readonly column: number } | undefined;
}

/**
 * The functions of one unit and what was inlined into them, by address. Entries are walked once, when this is made;
 * names are read when an address is asked for.
 */
export class UnitScopes {
  readonly #file: DwarfFile;
  readonly #ranges: NestedRanges;
  /** By scope: offset of its entry, and the scope around it (-1: none; a function begins a new nest). */
  readonly #entries: readonly number[];
  readonly #parents: readonly number[];
  /** By scope, those that have been asked for. */
  readonly #known: Map<number, FunctionScope> = new Map();

  /**
   * @param unit the full unit, not a skeleton.
   * @param baseAddress DW_AT_low_pc of the unit, or of its skeleton.
   * @throws {DwarfError} for entries that cannot be read.
   */
  constructor(file: DwarfFile, unit: UnitHeader, baseAddress: number) {
    this.#file = file;
    const ranges: number[] = [];
    const owners: number[] = [];
    const entries: number[] = [];
    const parents: number[] = [];
    // The scopes that the walk is in, and at which depth each began.
    const open: { readonly depth: number; readonly scope: number }[] = [];
    const reader = file.read(unit);
    while (reader.next()) {
      const { tag, depth } = reader;
      for (let top = open[open.length - 1]; top !== undefined && top.depth >= depth; ) {
        open.pop();
        top = open[open.length - 1];
      }
      if (tag !== DW_TAG_subprogram && tag !== DW_TAG_inlined_subroutine) continue;
      const before = ranges.length;
      appendRanges(reader, baseAddress, ranges);
      if (ranges.length === before) continue;
      const scope = entries.length;
      for (let i = before; i < ranges.length; i += 2) owners.push(scope);
      entries.push(reader.offset);
      // A function within a function is a frame of its own: nothing around it called it here.
      parents.push(tag === DW_TAG_subprogram ? -1 : (open[open.length - 1]?.scope ?? -1));
      open.push({ depth, scope });
    }
    this.#ranges = new NestedRanges(ranges, owners);
    this.#entries = entries;
    this.#parents = parents;
  }

  /** The functions at `address`, the innermost first; the last one is not inlined (of 256 at most). Empty where there is none. */
  at(address: number): FunctionScope[] {
    const scopes: FunctionScope[] = [];
    for (let scope = this.#ranges.at(address); scope >= 0; scope = this.#parents[scope] ?? -1) {
      if (scopes.length === mostScopes) break;
      scopes.push(this.#scope(scope));
    }
    return scopes;
  }

  #scope(scope: number): FunctionScope {
    let known = this.#known.get(scope);
    if (known === undefined) {
      const reader = this.#file.entry(this.#entries[scope]!); // a scope is an index of them
      const call = {
        file: reader.size(DW_AT_call_file) ?? 0,
        line: reader.size(DW_AT_call_line) ?? 0,
        column: reader.size(DW_AT_call_column) ?? 0,
      };
      const isInlined = reader.tag === DW_TAG_inlined_subroutine;
      known = { call: isInlined ? call : undefined, name: functionName(reader) };
      this.#known.set(scope, known);
    }
    return known;
  }
}

/** What a unit's ranges count from: DW_AT_low_pc of its own entry, else 0. */
export function unitBaseAddress(file: DwarfFile, unit: UnitHeader): number {
  const low = file.read(unit).readAt(unit.firstEntry).address(DW_AT_low_pc);
  return low === undefined ? 0 : addressNumber(low);
}

/** The name of a function's entry, or of the entries that it is an instance of. */
function functionName(entry: EntryReader): string | undefined {
  let reader = entry;
  let plain: string | undefined;
  for (let steps = 0; steps < mostSteps; steps++) {
    const linkage = reader.string(DW_AT_linkage_name) ?? reader.string(DW_AT_MIPS_linkage_name);
    if (linkage !== undefined) return linkage;
    plain ??= reader.string(DW_AT_name);
    const next = reader.reference(DW_AT_abstract_origin) ?? reader.reference(DW_AT_specification);
    if (next === undefined) break;
    reader = next.file.entry(next.offset);
  }
  return plain;
}

/** Compilers inline tens of functions into each other; a hostile file a million. */
const mostScopes = 256;
/** An instance, its abstract instance, its declaration: a hostile file may make a ring of them. */
const mostSteps = 8;
