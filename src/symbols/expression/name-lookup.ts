import { hex } from '../../base/hex.ts';
import type { AddressSpace } from '../address-space.ts';
import * as dw from '../dwarf/constants.ts';
import type { Declaration } from '../dwarf/declarations.ts';
import { ElfError } from '../elf-error.ts';
import type { Module } from '../module.ts';
import { isMeant, type ProgramVariable, type VariableRequest, variablesOf } from '../program-variables.ts';
import type { TypeDescription } from '../types.ts';
import type { NameExpression } from './expression.ts';
import { spellExpression } from './spell.ts';

/** What a name is. */
export type NamedThing =
  | {
      readonly kind: 'variable';
      readonly variable: ProgramVariable;
      /** Its address, of one that has one for the whole process. */
      readonly address: bigint | undefined;
      /** Its offset in the module's block of every thread. */
      readonly threadOffset: bigint | undefined;
      readonly how: string;
    }
  | {
      /** Known by a symbol table alone, or a function. */
      readonly kind: 'symbol';
      readonly address: bigint;
      readonly sizeBytes: number;
      readonly isFunction: boolean;
      readonly module: Module;
      readonly how: string;
    };

/** Why a name is nothing. */
export interface NotNamed {
  /** `type`: it is there but can have no address, whatever comes. */
  readonly kind: 'name' | 'ambiguous' | 'type';
  /** One line. */
  readonly message: string;
}

/**
 * Finds what a name means: as the dynamic linker and gdb do, what is seen from all files first, the program before its
 * libraries; then what is static in some file or function, where several are ambiguous.
 */
export function lookUpName(space: AddressSpace, name: NameExpression): NamedThing | NotNamed {
  const inModules =
    name.within === undefined ? [] : space.modules().filter((one) => one.isNamed(name.within ?? ''));
  const modules = inModules.length > 0 ? inModules : space.modules();
  const sourceFile = inModules.length > 0 ? undefined : name.within;
  const request: VariableRequest = { path: name.path, sourceFile };
  const problems: string[] = [];
  const all: ProgramVariable[] = [];
  let statics: ProgramVariable[] = [];
  for (const module of modules) {
    let found: ProgramVariable[] = [];
    try {
      found = variablesOf(module, request);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      problems.push(error.message);
    }
    all.push(...found);
    const usable = distinct(found.filter(isUsable));
    const shared = usable.filter(({ declaration }) => declaration.external);
    const best = narrowed(shared, name);
    if (best.length === 1 && best[0] !== undefined) return thing(space, best[0]);
    if (best.length > 1) return ambiguous(best, modules);
    // The program's own hide those of the libraries.
    if (statics.length === 0) statics = usable;
  }
  const best = narrowed(statics, name);
  if (best.length === 1 && best[0] !== undefined) return thing(space, best[0]);
  if (best.length > 1) return ambiguous(best, modules);
  return bySymbol(space, name, all) ?? functionOf(modules, request) ?? notFound(space, name, all, problems);
}

function isUsable({ location }: ProgramVariable): boolean {
  return location.kind === 'address' || location.kind === 'thread-local';
}

/** Those whose scopes are just what was asked for, where there are any. */
function narrowed(variables: readonly ProgramVariable[], name: NameExpression): readonly ProgramVariable[] {
  if (variables.length < 2) return variables;
  const scopes = name.path.length - 1;
  const exact = variables.filter(
    ({ declaration }) => declaration.scopes.filter((one) => one !== '').length === scopes,
  );
  return exact.length > 0 ? exact : variables;
}

function distinct(variables: readonly ProgramVariable[]): ProgramVariable[] {
  const seen = new Set<string>();
  return variables.filter(({ location, module }) => {
    const key =
      location.kind === 'address'
        ? `${location.address}`
        : location.kind === 'thread-local'
          ? `${module.path} ${location.offset}`
          : '';
    return seen.size < seen.add(key).size;
  });
}

function thing(space: AddressSpace, variable: ProgramVariable): NamedThing {
  const { location, declaration, module } = variable;
  const source = `debug information of ${module.name}${declaration.sourceFile === '' ? '' : `, ${declaration.sourceFile}`}`;
  if (location.kind !== 'address') {
    const threadOffset = location.kind === 'thread-local' ? location.offset : undefined;
    return { kind: 'variable', variable, address: undefined, threadOffset, how: source };
  }
  // A library's variable that the program refers to directly has a copy in the program, which everybody uses.
  const [program] = space.modules();
  if (declaration.external && program !== undefined && module !== program) {
    const symbol = space.resolve({ name: declaration.linkageName ?? declaration.name, module: program.path });
    if (symbol.kind === 'found' && symbol.module === program && symbol.symbol.binding !== 'local') {
      const how = `${source}; the program's copy of it, which all use (copy relocation)`;
      return { kind: 'variable', variable, address: symbol.address, threadOffset: undefined, how };
    }
  }
  return { kind: 'variable', variable, address: location.address, threadOffset: undefined, how: source };
}

/** By the symbol table, with the type of a declaration where there is one. */
function bySymbol(
  space: AddressSpace,
  name: NameExpression,
  variables: readonly ProgramVariable[],
): NamedThing | undefined {
  const declared = variables.find(
    ({ location, declaration }) =>
      declaration.kind === 'declared variable' && location.kind === 'optimised out',
  );
  const plain = name.path.length === 1 ? name.path[0] : undefined;
  const symbolName =
    declared?.declaration.linkageName ??
    plain ??
    (declared === undefined ? undefined : declared.declaration.name);
  if (symbolName === undefined) return undefined;
  const found = space.resolve(
    name.within === undefined ? { name: symbolName } : { name: symbolName, module: name.within },
  );
  if (found.kind !== 'found') return undefined;
  const { address, module, symbol } = found;
  const isFunction = symbol.kind === 'function';
  if (declared !== undefined && !isFunction) {
    const how = `symbol table of ${module.name}; type by a declaration in ${declared.declaration.sourceFile}`;
    const variable = { ...declared, module };
    return { kind: 'variable', variable, address, threadOffset: undefined, how };
  }
  const how = `symbol table of ${module.name}`;
  return { kind: 'symbol', address, sizeBytes: Number(found.sizeBytes), isFunction, module, how };
}

function functionOf(modules: readonly Module[], request: VariableRequest): NamedThing | undefined {
  const name = request.path.at(-1);
  if (name === undefined) return undefined;
  for (const module of modules) {
    const data = module.debugData;
    for (const declaration of declarationsOf(module, name)) {
      if (data === undefined || declaration.kind !== 'function' || !isMeant(declaration, request)) continue;
      const entry = data.fileOf(declaration).entry(declaration.offset);
      const low = entry.address(dw.DW_AT_low_pc);
      if (low === undefined || low === 0n) continue;
      const high = entry.size(dw.DW_AT_high_pc);
      const how = `debug information of ${module.name}, ${declaration.sourceFile}`;
      return {
        kind: 'symbol',
        address: module.addressOf(low),
        sizeBytes: high ?? 0,
        isFunction: true,
        module,
        how,
      };
    }
  }
  return undefined;
}

function notFound(
  space: AddressSpace,
  name: NameExpression,
  variables: readonly ProgramVariable[],
  problems: readonly string[],
): NotNamed {
  const spelled = spellExpression(name);
  const [first] = variables.filter(({ declaration }) => declaration.kind === 'variable');
  if (first !== undefined) {
    const { declaration, location } = first;
    const where = declaration.scopes.filter((scope) => scope !== '').join('::');
    switch (location.kind) {
      case 'frame':
      case 'pieces':
        return {
          kind: 'type',
          message: `'${spelled}' is a local variable${where === '' ? '' : ` of ${where}`}: every call has its own, in registers or on the stack`,
        };
      case 'value':
        return { kind: 'type', message: `'${spelled}' has no address: the compiler made a constant of it` };
      default:
        return { kind: 'type', message: `'${spelled}' is optimised out: the program has no memory for it` };
    }
  }
  const plain = name.path.at(-1) ?? '';
  const parts = [`no variable or function '${spelled}'`];
  const resolution = space.resolve({ name: plain });
  if (resolution.kind === 'unmapped' && resolution.reason === 'thread-local') {
    return {
      kind: 'type',
      message: `'${spelled}' is thread-local: every thread has its own, and without debug information it is not known where`,
    };
  }
  if (resolution.kind === 'unknown') {
    const near = [...new Set(resolution.nearMisses.slice(0, 5).map(({ symbol }) => symbol.name))];
    if (near.length > 0) parts.push(`did you mean ${near.join(', ')}?`);
  }
  parts.push(...problems.slice(0, 2));
  for (const module of space.modules().slice(0, 1)) {
    if (module.debugProblem !== undefined) parts.push(module.debugProblem);
    else if (module.debugInfo === undefined && name.path.length > 1) {
      parts.push(`${module.name} has no debug information (compile with -g)`);
    }
  }
  return { kind: 'name', message: parts.join('; ') };
}

function ambiguous(candidates: readonly ProgramVariable[], modules: readonly Module[]): NotNamed {
  const listed = candidates.slice(0, mostListed).map((candidate) => {
    const place =
      candidate.location.kind === 'address' ? ` at ${hex(candidate.location.address)}` : ' (thread-local)';
    return `${spellingOf(candidate, candidates, modules)}${place}`;
  });
  const more = candidates.length - listed.length;
  return {
    kind: 'ambiguous',
    message: `${candidates.length} variables have this name: ${listed.join(', ')}${more > 0 ? `, and ${more} more` : ''}`,
  };
}

/** The shortest way to write a name that means this one alone. */
function spellingOf(
  one: ProgramVariable,
  all: readonly ProgramVariable[],
  modules: readonly Module[],
): string {
  const { declaration, module } = one;
  const scopes = declaration.scopes.filter((scope) => scope !== '');
  const base = declaration.sourceFile.replace(/\/@\/.*$/, '').replace(/^.*\//, '');
  const same = all.filter((other) => other.module === module);
  for (let count = 1; count <= scopes.length; count++) {
    const path = [...scopes.slice(scopes.length - count), declaration.name];
    if (means(all, { path }) === 1) return path.join('::');
  }
  const path = [...scopes, declaration.name];
  const spelled = path.join('::');
  if (means(all, { path, sourceFile: base }) === 1) return `${base}:${spelled}`;
  if (modules.length > 1 && means(same, { path }) === 1) return `${module.name}!${spelled}`;
  return `${declaration.sourceFile}:${spelled}`;
}

function means(variables: readonly ProgramVariable[], request: VariableRequest): number {
  return variables.filter(({ declaration }) => isMeant(declaration, request)).length;
}

/** None of a module whose debug information cannot be read: what it is has been told, or the others are asked. */
function declarationsOf(module: Module, name: string): readonly Declaration[] {
  try {
    return module.debugData?.declarations(name) ?? [];
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return [];
  }
}

const mostListed = 8;

/** The type that a cast names; `undefined` if there is none. */
export function lookUpType(
  space: AddressSpace,
  wanted: { readonly path: readonly string[]; readonly keyword: string | undefined },
): TypeDescription | undefined {
  const name = wanted.path.at(-1) ?? '';
  for (const module of space.modules()) {
    const data = module.debugData;
    if (data === undefined) continue;
    for (const declaration of declarationsOf(module, name)) {
      if (declaration.kind !== 'type' || !isMeant(declaration, { path: wanted.path })) continue;
      const type = data.types.at({ file: data.fileOf(declaration), offset: declaration.offset });
      const isTag = type.kind === 'struct' || type.kind === 'enum';
      if (wanted.keyword !== undefined && !isTag) continue;
      return type;
    }
  }
  return undefined;
}
