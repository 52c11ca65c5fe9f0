import * as dw from './dwarf/constants.ts';
import type { DebugData } from './dwarf/debug-data.ts';
import type { Declaration } from './dwarf/declarations.ts';
import { evaluateLocation, type Location } from './dwarf/location.ts';
import { ElfError } from './elf-error.ts';
import type { Module } from './module.ts';
import type { TypeDescription } from './types.ts';

/** A variable that debug information knows, in one module. */
export interface ProgramVariable {
  readonly module: Module;
  readonly declaration: Declaration;
  readonly type: TypeDescription;
  /** With addresses of the process. A variable that is only declared has none of its own. */
  readonly location: Location;
}

/** A name to look for. */
export interface VariableRequest {
  /** The last part is the name; those before must end the scopes that it is in. */
  readonly path: readonly string[];
  /** The source file, or the end of its path. */
  readonly sourceFile?: string | undefined;
}

/** The variables of `module` that a name may mean. Throws an `ElfError` where its debug information cannot be read. */
export function variablesOf(module: Module, request: VariableRequest): ProgramVariable[] {
  const data = module.debugData;
  const name = request.path.at(-1);
  if (data === undefined || name === undefined) return [];
  const variables: ProgramVariable[] = [];
  for (const declaration of data.declarations(name)) {
    if (declaration.kind !== 'variable' && declaration.kind !== 'declared variable') continue;
    if (!isMeant(declaration, request)) continue;
    try {
      const type = typeOf(data, declaration);
      const location = locationOf(data, module, declaration);
      if (isDropped(module, location)) continue;
      variables.push({ module, declaration, type, location });
    } catch (error) {
      if (!(error instanceof ElfError)) throw error; // one that cannot be read does not hide the others
    }
  }
  return variables;
}

/** Whether scopes and source file are those that were asked for. */
export function isMeant(declaration: Declaration, request: VariableRequest): boolean {
  const scopes = request.path.slice(0, -1);
  if (!endsWith(declaration.scopes, scopes)) return false;
  const { sourceFile } = request;
  if (sourceFile === undefined) return true;
  const path = declaration.sourceFile;
  // Rust's units are "lib.rs/@/crate.1a2b-cgu.0".
  return path === sourceFile || path.endsWith(`/${sourceFile}`) || path.includes(`/${sourceFile}/@/`);
}

/** An unnamed namespace, and a name's template arguments, may be left out. */
function endsWith(scopes: readonly string[], wanted: readonly string[]): boolean {
  const named = scopes.filter((scope) => scope !== '');
  const asked = wanted.filter((scope) => scope !== '');
  if (asked.length > named.length) return false;
  return asked.every((scope, i) => {
    const actual = named[named.length - asked.length + i] ?? '';
    return actual === scope || (!scope.includes('<') && actual.replace(/<.*$/s, '') === scope);
  });
}

function typeOf(data: DebugData, declaration: Declaration): TypeDescription {
  // A definition may know more than its declaration: how long an array is.
  const definition = data.fileOf(declaration).entry(declaration.offset);
  if (definition.has(dw.DW_AT_type)) return data.types.typeOf(definition);
  return data.types.typeOf(data.fileOf(declaration).entry(declaration.declaredAt));
}

function locationOf(data: DebugData, module: Module, declaration: Declaration): Location {
  const file = data.fileOf(declaration);
  const entry = file.entry(declaration.offset);
  const expression = entry.block(dw.DW_AT_location);
  if (expression === undefined) {
    // A list of locations is what a variable has that moves between registers: a local one.
    if (entry.has(dw.DW_AT_location)) return { kind: 'frame' };
    if (entry.has(dw.DW_AT_const_value)) return { kind: 'value' };
    return { kind: 'optimised out' };
  }
  return evaluateLocation(expression, {
    file: file.name,
    addressBytes: entry.unit.addressBytes,
    offsetBytes: entry.unit.offsetBytes,
    relocate: (vaddr) => module.addressOf(vaddr),
    addressAt: (index) => file.addressAt(entry.unit, index),
  });
}

/** What the linker threw away is left with an address where nothing of the module is: 0, or close to it. */
function isDropped(module: Module, location: Location): boolean {
  if (location.kind !== 'address') return false;
  const vaddr = module.vaddrOf(location.address);
  const segments = module.file?.segments ?? [];
  // The last byte of a segment is not the end: an empty variable may stand there.
  return !segments.some((one) => vaddr >= one.vaddr && vaddr - one.vaddr <= one.memBytes);
}
