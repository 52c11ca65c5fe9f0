import { encodeUtf8 } from '../../base/text.ts';
import type { DwarfFile } from './dwarf-file.ts';
import type { LoadedUnit, UnitHeader } from './unit.ts';

/** Where a name is used. */
export interface NameOccurrences {
  /** Offsets of the name in .debug_str. */
  readonly offsets: ReadonlySet<number>;
  /** Offsets in .debug_str_offsets where those stand. */
  readonly indexPlaces: readonly number[];
  /** The units in which it may be named. */
  readonly units: readonly UnitHeader[];
}

/**
 * Finds the units that use a name, without decoding any: by the bytes of the name in the string section, and by the
 * bytes of the references to it. A unit that only happens to have such bytes is among them; none that uses the
 * name is left out. So it takes no index and costs about as much as reading the sections does.
 *
 * ```
 * DW_FORM_strp     offset of the string (4 or 8 bytes)      looked for as bytes anywhere in the units
 * DW_FORM_string   the string itself                        likewise
 * DW_FORM_strx     index into .debug_str_offsets            looked for there; the unit is the one whose part it is
 * ```
 */
export function searchName(file: DwarfFile, name: string): NameOccurrences {
  const bytes = encodeUtf8(`${name}\0`);
  const { sections } = file;
  const units = file.units();
  const inStrings = occurrences(sections.whole('str'), bytes);
  const offsets = new Set(inStrings);
  const found = new Set<UnitHeader>();
  const info = sections.whole('info');
  searchReferences(info, bytes, offsets, unitMarker(units, 0, found));
  const types = sections.whole('types');
  if (types.length > 0) searchReferences(types, bytes, offsets, unitMarker(units, info.length, found));
  const indexPlaces = searchIndices(file, offsets, found);
  // Strings of split units, and of supplementary files, are found by whoever opens those.
  return { offsets, indexPlaces, units: units.filter((unit) => found.has(unit)) };
}

/** The units that may refer to entries (by DW_FORM_ref_addr): those that hold the bytes of one of `offsets`. */
export function unitsReferringTo(file: DwarfFile, offsets: ReadonlySet<number>): UnitHeader[] {
  const found = new Set<UnitHeader>();
  const units = file.units();
  searchReferences(file.sections.whole('info'), impossibleName, offsets, unitMarker(units, 0, found));
  return units.filter((unit) => found.has(unit));
}

/** A name that no string is. */
const impossibleName = encodeUtf8('\u0001\u0001\u0001\u0001\u0001\u0001\0');

/**
 * Offsets of `wanted` (which ends with NUL) in `strings`. A linker that merges the ends of strings leaves a name as the
 * end of a longer one only if it stands nowhere by itself, so those are taken only then.
 */
function occurrences(strings: Uint8Array, wanted: Uint8Array): number[] {
  const whole: number[] = [];
  const ends: number[] = [];
  const last = wanted.length - 1;
  const first = wanted[0]!; // at least the NUL
  for (let at = strings.indexOf(first); at >= 0; at = strings.indexOf(first, at + 1)) {
    // The NUL is compared first: it is what most often differs.
    if (strings[at + last] !== 0 || !matches(strings, at, wanted)) continue;
    if (at === 0 || strings[at - 1] === 0) whole.push(at);
    else if (ends.length < mostEnds) ends.push(at);
  }
  return whole.length > 0 ? whole : ends;
}

function matches(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/**
 * Calls `found` with places, ascending, that cover all where the bytes of one of `offsets`, or of `name`, are. One pass
 * over four bytes at a time, with a filter of 64 Ki flags by the low half of what is looked for.
 */
function searchReferences(
  info: Uint8Array,
  name: Uint8Array,
  offsets: ReadonlySet<number>,
  found: (at: number) => void,
): void {
  // The bytes that an inline name ends with, and what of a window of four bytes they are.
  const tailBytes = Math.min(4, name.length);
  const mask = tailBytes === 4 ? 0xffff_ffff : (1 << (tailBytes * 8)) - 1;
  let tail = 0;
  for (let i = 0; i < tailBytes; i++) tail |= name[name.length - tailBytes + i]! << (i * 8); // within the name
  const tailStart = name.length - tailBytes;
  const filter = new Uint8Array(0x1_0000);
  for (const offset of offsets) filter[offset & 0xffff] = 1;
  filter[tail & 0xffff] = 1;
  const check = (window: number, at: number): void => {
    const isTail = ((window ^ tail) & mask) === 0 && matches(info, at - tailStart, name);
    if (isTail || offsets.has(window >>> 0)) found(at);
  };
  const words = wordsOf(info);
  const last = words.length - 1;
  let word = words[0] ?? 0;
  for (let i = 0; i < last; i++) {
    const next = words[i + 1]!; // i < last
    if (filter[word & 0xffff] === 1) check(word, i * 4);
    if (filter[(word >>> 8) & 0xffff] === 1) check((word >>> 8) | (next << 24), i * 4 + 1);
    if (filter[word >>> 16] === 1) check((word >>> 16) | (next << 16), i * 4 + 2);
    if (filter[(word >>> 24) | ((next & 0xff) << 8)] === 1) check((word >>> 24) | (next << 8), i * 4 + 3);
    word = next;
  }
  // The last bytes, behind which zeros are taken to be.
  for (let at = Math.max(0, last) * 4; at < info.length; at++) {
    let window = 0;
    for (let i = 0; i < 4; i++) window |= (info[at + i] ?? 0) << (i * 8);
    check(window, at);
  }
}

/** The whole words of some bytes. Little-endian, as the machines that this runs on are. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >>> 2);
}

/** Marks the unit that an offset is in; offsets come ascending. */
function unitMarker(
  units: readonly UnitHeader[],
  sectionStart: number,
  found: Set<UnitHeader>,
): (at: number) => void {
  let index = 0;
  return (at) => {
    const offset = sectionStart + at;
    while (index < units.length && units[index]!.end <= offset) index++; // in bounds
    const unit = units[index];
    if (unit !== undefined && unit.offset <= offset) found.add(unit);
  };
}

function searchIndices(file: DwarfFile, offsets: ReadonlySet<number>, found: Set<UnitHeader>): number[] {
  const table = file.sections.whole('str_offsets');
  if (table.length === 0 || offsets.size === 0) return [];
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const places: number[] = [];
  for (let at = 0; at + 4 <= table.length; at += 4) {
    if (offsets.has(view.getUint32(at, true))) places.push(at);
  }
  if (places.length === 0) return places;
  // Several units may share a part, so each unit takes all places from its base to the next base.
  const parts: { unit: UnitHeader; base: number }[] = [];
  for (const unit of file.units()) {
    if (unit.version >= 5) parts.push({ unit, base: file.bases(file.load(unit)).strOffsets });
  }
  const bases = [...new Set(parts.map(({ base }) => base))].sort((a, b) => a - b);
  const used = new Set<number>();
  let next = 0;
  for (const place of places) {
    while (next < bases.length && bases[next]! <= place) next++; // in bounds
    const base = bases[next - 1];
    if (base !== undefined) used.add(base);
  }
  for (const { unit, base } of parts) if (used.has(base)) found.add(unit);
  return places;
}

/** A name of a letter or two ends many thousands of strings. */
const mostEnds = 1 << 20;

/** The {@link EntryReader.stringKey}s that mean the name in one unit. */
export function nameKeys(file: DwarfFile, unit: LoadedUnit, name: NameOccurrences): ReadonlySet<number> {
  if (name.indexPlaces.length === 0 || unit.version < 5) return name.offsets;
  const keys = new Set(name.offsets);
  const base = file.bases(unit).strOffsets;
  for (const place of name.indexPlaces) {
    if (place >= base) keys.add(-1 - (place - base) / unit.offsetBytes);
  }
  return keys;
}
