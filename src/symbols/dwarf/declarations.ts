import * as dw from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { DwarfFile } from './dwarf-file.ts';
import type { EntryReader } from './entry-reader.ts';
import { nameKeys, searchName, unitsReferringTo } from './name-search.ts';
import type { LoadedUnit, UnitHeader } from './unit.ts';

/** Something that debug information gives a name to. */
export interface Declaration {
  readonly kind:
    | 'variable'
    /** A variable of which this file only says that it exists, and what type it has. */
    | 'declared variable'
    | 'type'
    | 'function';
  readonly name: string;
  /** The namespaces, classes and functions around it, outermost first. "" for an unnamed namespace. */
  readonly scopes: readonly string[];
  /** The innermost scope is a function: a variable that is `static` in it, or a local one. */
  readonly inFunction: boolean;
  /** The entry that has the location, or the definition. */
  readonly offset: number;
  /** The entry that has name and type, where they are not at `offset`. */
  readonly declaredAt: number;
  /** Where the unit begins. */
  readonly unit: number;
  /** Seen from other files of the source. */
  readonly external: boolean;
  /** The name that the linker knows it by, where it is another. */
  readonly linkageName: string | undefined;
  /** Of split debug information: the unit of the module that stands for the one in its own file, which offsets are in. */
  readonly skeleton?: number | undefined;
  /** The source file that the unit is made of, and its folder, as the compiler was told. */
  readonly sourceFile: string;
}

/** All that `name`, the last part of a qualified name, means in a file. In the order of the units. */
export function findDeclarations(file: DwarfFile, name: string): Declaration[] {
  const declarations: Declaration[] = [];
  const occurrences = searchName(file, name);
  const undefinedYet: Undefined[] = [];
  for (const unit of occurrences.units) {
    try {
      const loaded = file.load(unit);
      const keys = nameKeys(file, loaded, occurrences);
      new UnitScan(file, loaded, { name, keys }).into(declarations, undefinedYet);
    } catch (error) {
      // One bad unit does not take the others away.
      if (!(error instanceof DwarfError)) throw error;
    }
    if (declarations.length >= mostDeclarations) break;
  }
  addDefinitionsElsewhere(file, name, declarations, undefinedYet);
  return declarations;
}

/** A variable that its unit gives a name but no location. */
interface Undefined {
  readonly named: Named;
  readonly declaration: Declaration;
}

/**
 * What link-time optimisation compiles stands in one unit and has its name in another (and `dwz` moves what units have
 * in common): the location is with an entry that refers to the one with the name. Such entries are found as the bytes
 * of the reference are.
 */
function addDefinitionsElsewhere(
  file: DwarfFile,
  name: string,
  declarations: Declaration[],
  undefinedYet: readonly Undefined[],
): void {
  const isDefined = declarations.some(
    (each) => each.kind === 'variable' && !undefinedYet.some((one) => one.declaration === each),
  );
  if (isDefined || undefinedYet.length === 0 || undefinedYet.length > mostSearchedElsewhere) return;
  const byOffset = new Map(undefinedYet.map((one) => [one.named.offset, one]));
  for (const unit of unitsReferringTo(file, new Set(byOffset.keys()))) {
    try {
      const loaded = file.load(unit);
      for (const { offset, of } of new UnitScan(file, loaded, { name, keys: noKeys }).definitions()) {
        const found = byOffset.get(of);
        if (found === undefined || !file.entry(offset).has(dw.DW_AT_location)) continue;
        declarations.push({ ...found.declaration, kind: 'variable', offset, unit: unit.offset });
      }
    } catch (error) {
      if (!(error instanceof DwarfError)) throw error;
    }
  }
}

const noKeys: ReadonlySet<number> = new Set();
const mostSearchedElsewhere = 1_000;

/** Names as common as `i` are not listed to the end. */
const mostDeclarations = 20_000;

/** The tags of what a name may be wanted for. */
const kinds: ReadonlyMap<number, 'variable' | 'type' | 'function'> = new Map([
  [dw.DW_TAG_variable, 'variable'],
  [dw.DW_TAG_member, 'variable'], // a static member of a class, before DWARF 5
  [dw.DW_TAG_structure_type, 'type'],
  [dw.DW_TAG_class_type, 'type'],
  [dw.DW_TAG_union_type, 'type'],
  [dw.DW_TAG_enumeration_type, 'type'],
  [dw.DW_TAG_typedef, 'type'],
  [dw.DW_TAG_base_type, 'type'],
  [dw.DW_TAG_subprogram, 'function'],
]);

/** The same as flags, to be asked for every entry. */
const isWanted = new Uint8Array(0x1_0000);
for (const tag of kinds.keys()) isWanted[tag] = 1;

interface Named {
  readonly offset: number;
  readonly tag: number;
  readonly scopes: readonly number[];
  readonly hasLocation: boolean;
  readonly external: boolean;
  readonly declaration: boolean;
}

/** One pass over a unit. */
class UnitScan {
  readonly #file: DwarfFile;
  readonly #unit: LoadedUnit;
  readonly #name: string;
  readonly #keys: ReadonlySet<number>;
  readonly #named: Named[] = [];
  /** Variables that say what they define by a reference. */
  readonly #definitions: { readonly offset: number; readonly of: number }[] = [];

  constructor(file: DwarfFile, unit: LoadedUnit, wanted: { name: string; keys: ReadonlySet<number> }) {
    this.#file = file;
    this.#unit = unit;
    this.#name = wanted.name;
    this.#keys = wanted.keys;
  }

  /** The variables and functions that say by a reference what they define. */
  definitions(): readonly { readonly offset: number; readonly of: number }[] {
    this.#walk();
    return this.#definitions;
  }

  /** Adds what has the name; of `undefinedYet`, what may be defined in other units. */
  into(declarations: Declaration[], undefinedYet: Undefined[]): void {
    this.#walk();
    if (this.#named.length === 0) return;
    const sourceFile = sourceFileOf(this.#file, this.#unit);
    const add = (named: Named, place: { offset: number }, kind: Declaration['kind']): Declaration => {
      const scopes = this.#scopeNames(named.scopes);
      // A static variable of a function that was inlined or cloned belongs to the function all the same.
      const declaration: Declaration = {
        kind,
        name: this.#name,
        scopes: scopes.names,
        inFunction: scopes.inFunction,
        offset: place.offset,
        declaredAt: named.offset,
        unit: this.#unit.offset,
        external: named.external,
        linkageName: this.#linkageName(named.offset) ?? this.#linkageName(place.offset),
        sourceFile,
      };
      declarations.push(declaration);
      return declaration;
    };
    const byOffset = new Map(this.#named.map((named) => [named.offset, named]));
    const defined = new Set<number>();
    const chains = new Map<number, number>();
    for (const { offset, of } of this.#definitions) chains.set(offset, of);
    for (const definition of this.#definitions) {
      // The name is at the end of at most a few references: a clone's variable, the function's, the declaration.
      let at: number | undefined = definition.of;
      for (let i = 0; i < 4 && at !== undefined && !byOffset.has(at); i++) at = chains.get(at);
      const named = at === undefined ? undefined : byOffset.get(at);
      if (named === undefined) continue;
      const kind = kinds.get(named.tag);
      const entry = this.#file.entry(definition.offset);
      if (kind === 'variable' ? !entry.has(dw.DW_AT_location) : !entry.has(dw.DW_AT_low_pc)) continue;
      defined.add(named.offset);
      if (kind === 'variable' || kind === 'function') add(named, definition, kind);
    }
    for (const named of this.#named) {
      const kind = kinds.get(named.tag);
      if (kind === undefined || defined.has(named.offset)) continue;
      if (kind === 'variable' && named.hasLocation) add(named, named, 'variable');
      else if (kind === 'variable') {
        const declaration = add(named, named, named.declaration ? 'declared variable' : 'variable');
        undefinedYet.push({ named, declaration });
      } else if (kind === 'function' || !named.declaration) add(named, named, kind);
    }
  }

  #walk(): void {
    const entry = this.#file.read(this.#unit);
    const scopes: number[] = [];
    while (entry.next()) {
      const { depth, tag } = entry;
      scopes[depth] = entry.offset;
      if (isWanted[tag] !== 1) continue;
      // A function that is only declared has nothing but parameters in it.
      if (tag === dw.DW_TAG_subprogram && entry.isDeclaration) entry.skipChildren();
      if (entry.has(dw.DW_AT_name)) {
        const key = entry.stringKey(dw.DW_AT_name);
        const isName = key === undefined ? entry.string(dw.DW_AT_name) === this.#name : this.#keys.has(key);
        if (isName) this.#note(entry, scopes.slice(1, depth));
      } else if (tag === dw.DW_TAG_variable || tag === dw.DW_TAG_subprogram) {
        const of = entry.reference(dw.DW_AT_specification) ?? entry.reference(dw.DW_AT_abstract_origin);
        if (of !== undefined && of.file === this.#file) {
          this.#definitions.push({ offset: entry.offset, of: of.offset });
        }
      }
    }
  }

  #note(entry: EntryReader, scopes: readonly number[]): void {
    if (entry.tag === dw.DW_TAG_member && !entry.flag(dw.DW_AT_declaration)) return;
    this.#named.push({
      offset: entry.offset,
      tag: entry.tag,
      scopes,
      hasLocation: entry.has(dw.DW_AT_location) || entry.has(dw.DW_AT_const_value),
      external: entry.flag(dw.DW_AT_external),
      declaration: entry.flag(dw.DW_AT_declaration),
    });
  }

  #linkageName(offset: number): string | undefined {
    const entry = this.#file.entry(offset);
    return entry.string(dw.DW_AT_linkage_name) ?? entry.string(dw.DW_AT_MIPS_linkage_name);
  }

  #scopeNames(offsets: readonly number[]): { names: string[]; inFunction: boolean } {
    const names: string[] = [];
    let inFunction = false;
    for (const offset of offsets) {
      const entry = this.#file.entry(offset);
      switch (entry.tag) {
        case dw.DW_TAG_namespace:
        case dw.DW_TAG_structure_type:
        case dw.DW_TAG_class_type:
        case dw.DW_TAG_union_type:
        case dw.DW_TAG_interface_type:
        case dw.DW_TAG_enumeration_type:
          names.push(entry.string(dw.DW_AT_name) ?? '');
          inFunction = false;
          break;
        case dw.DW_TAG_subprogram:
          names.push(...this.#functionScopes(offset));
          inFunction = true;
          break;
      }
    }
    return { names, inFunction };
  }

  /** A function's name, with the scopes of its declaration where it is defined outside of them. */
  #functionScopes(offset: number): string[] {
    let at = offset;
    for (let i = 0; i < 4; i++) {
      const entry = this.#file.entry(at);
      const name = entry.string(dw.DW_AT_name);
      if (name !== undefined) {
        return at === offset
          ? [name]
          : [...this.#scopeNames(scopesOf(this.#file, this.#unit, at)).names, name];
      }
      const of = entry.reference(dw.DW_AT_abstract_origin) ?? entry.reference(dw.DW_AT_specification);
      if (of === undefined || of.file !== this.#file) break;
      at = of.offset;
    }
    return [''];
  }
}

/** The entries around the one at `offset`, outermost first, without the unit's; of functions none, for they nest not. */
function scopesOf(file: DwarfFile, unit: UnitHeader, offset: number): number[] {
  const entry = file.read(unit);
  const scopes: number[] = [];
  while (entry.next() && entry.offset < offset) {
    scopes[entry.depth] = entry.offset;
    // What ends before it is not around it.
    const sibling = entry.reference(dw.DW_AT_sibling)?.offset;
    if (sibling !== undefined && sibling <= offset) entry.skipChildren();
  }
  if (entry.offset !== offset) return [];
  return scopes.slice(1, entry.depth).filter((at) => file.entry(at).tag !== dw.DW_TAG_subprogram);
}

function sourceFileOf(file: DwarfFile, unit: LoadedUnit): string {
  const entry = file.entry(unit.firstEntry);
  const name = entry.string(dw.DW_AT_name) ?? '';
  const folder = entry.string(dw.DW_AT_comp_dir);
  return name.startsWith('/') || folder === undefined ? name : `${folder}/${name}`;
}
