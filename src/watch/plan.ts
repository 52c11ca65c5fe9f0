import { fitRequest, maxPiecesListed, spellPieces } from '../arch/x86/fitting.ts';
import { assert } from '../base/assert.ts';
import { hex } from '../base/hex.ts';
import type { Names } from '../surface/names.ts';
import type { AddressSpace } from '../symbols/address-space.ts';
import type { Btf } from '../symbols/btf/btf.ts';
import type { ThreadLocals } from '../symbols/expression/evaluator.ts';
import type { PlaceExpression } from '../symbols/expression/expression.ts';
import type { FollowedPointer } from '../symbols/expression/resolved-place.ts';
import type { Kallsyms } from '../symbols/kallsyms.ts';
import { resolveKernelName } from '../symbols/kernel-names.ts';
import type { Resolution, ResolvedSymbol } from '../symbols/resolution.ts';
import type { TypeDescription } from '../symbols/types.ts';
import { requestError, type WatchError } from './errors.ts';
import {
  evaluateRequest,
  nameAsExpression,
  pointerNote,
  type SlicePiece,
  sliceOf,
  slicePieces,
  typeOfSymbol,
} from './plan-expression.ts';
import type { WatchedSlice } from './slice-element.ts';
import { defaultLenBytes, executeLenBytes, type WatchAccess, type WatchRequest } from './watch-request.ts';

/** A watch that a register can hold. */
export interface PlannedWatch {
  /** As the user wrote it; names the watch in every output. */
  readonly text: string;
  readonly address: bigint;
  readonly lenBytes: number;
  readonly access: 'w' | 'rw' | 'x';
  readonly only?: 'user' | 'kernel' | undefined;
  /** The symbol that was found, and the file it is in. */
  readonly symbol?: string;
  readonly module?: string;
  /** What it is, where debug information says so. */
  readonly type?: TypeDescription;
  /** Of a bit-field, whose storage unit is watched: where it lies in there. */
  readonly bits?: { readonly offset: number; readonly size: number };
  /** The request that this is a part of, where one takes several registers. */
  readonly partOf?: string;
  /** The slice that this is a part of; the same object in all its parts. */
  readonly slice?: WatchedSlice;
  /** What the user should know about it, one sentence. */
  readonly note?: string;
  /** The pointers that lead to it, outermost first; absent where none do. */
  readonly pointers?: readonly FollowedPointer[];
  /** Watched for `--follow` alone, which moves what depends on it: its hits are not reported. */
  readonly isPointer?: true;
  /** `--follow` closes its events when a pointer changes. */
  readonly moves?: true;
  /** Nothing is armed for it now, and why: a pointer on the way leads nowhere. Address and length are 0. */
  readonly waits?: string;
}

/** Where names are looked up. */
export interface NameSpace {
  /** Which process, for messages: "process 12 (server)". */
  readonly description: string;
  readonly space?: AddressSpace;
  /** A kernel that knows names itself; then nothing else is asked. */
  readonly known?: Names;
  /** Where thread-local variables are; absent where it is not known. */
  readonly threadLocals?: ThreadLocals | undefined;
  /** Pointers will be followed when they change. */
  readonly follow?: boolean;
  /** False of a program whose loader has not run: pointers in its data are not what they will be. */
  readonly settled?: boolean;
  /** The kernel's symbols. */
  readonly kallsyms?: () => Kallsyms | undefined;
  /** The kernel's types. */
  readonly btf?: () => Btf | undefined;
}

/** A request that did not become a watch, for now or for good. */
export interface UnplannedRequest {
  readonly request: WatchRequest;
  readonly error: WatchError;
  /** The name may be there when libraries are mapped. */
  readonly mayAppear: boolean;
  /** Where a pointer leads nowhere now: those on the way to it, and it. */
  readonly pointers?: readonly FollowedPointer[];
}

const kernelSpace = 0x8000_0000_0000_0000n;

/**
 * What one request means in a name space: a watch, of a slice one for each register that it takes, or why not. Never
 * throws {@link WatchError}: it returns it.
 */
export function planWatches(
  request: WatchRequest,
  names: NameSpace,
): readonly PlannedWatch[] | UnplannedRequest {
  const place = locate(request, names);
  if ('error' in place) return { request, ...place };
  const { pieces } = place;
  if (pieces === undefined || request.lenBytes !== undefined || pieces.length === 1) {
    const planned = planPlace(request, place);
    return 'error' in planned ? planned : [planned];
  }
  if (pieces.length > maxPiecesListed) {
    const error = requestError(
      `'${request.text}': ${pieces.length} registers are needed for ${place.sizeBytes} bytes at ${hex(place.address)}; x86 has ${maxPiecesListed}`,
    );
    return { request, error, mayAppear: false };
  }
  const watches: PlannedWatch[] = [];
  for (const [i, piece] of pieces.entries()) {
    const { pieces: _all, slice: _slice, note, type: _whole, ...rest } = place;
    const planned = planPlace(
      { ...request, text: piece.text },
      {
        ...rest,
        address: piece.address,
        sizeBytes: BigInt(piece.lenBytes),
        ...(piece.type === undefined ? {} : { type: piece.type }),
        ...(note === undefined || i > 0 ? {} : { note }),
      },
    );
    if ('error' in planned) return planned;
    watches.push({
      ...planned,
      partOf: request.text,
      ...(place.slice === undefined ? {} : { slice: place.slice }),
    });
  }
  return watches;
}

/** {@link planWatches} of a request that is no slice: one watch. */
export function planWatch(request: WatchRequest, names: NameSpace): PlannedWatch | UnplannedRequest {
  const planned = planWatches(request, names);
  if ('error' in planned) return planned;
  const [first] = planned;
  assert(first !== undefined && planned.length === 1, 'no slice');
  return first;
}

function planPlace(request: WatchRequest, place: Place): PlannedWatch | UnplannedRequest {
  if (place.address < 0n || place.address > 0xffff_ffff_ffff_ffffn) {
    return {
      request,
      error: requestError(`'${request.text}': the offset leads out of the address space`),
      mayAppear: false,
    };
  }
  return fitPlace(request, place);
}

/** An address, with what is known of it. */
interface Place {
  readonly address: bigint;
  readonly sizeBytes?: bigint;
  readonly isFunction?: boolean;
  readonly symbol?: string;
  readonly module?: string;
  readonly note?: string;
  readonly type?: TypeDescription;
  readonly bits?: { readonly offset: number; readonly size: number } | undefined;
  readonly pointers?: readonly FollowedPointer[];
  /** Of a slice. */
  readonly pieces?: readonly SlicePiece[] | undefined;
  readonly slice?: WatchedSlice | undefined;
}

interface NoPlace {
  readonly error: WatchError;
  readonly mayAppear: boolean;
  /** An expression's name is not there: looking it up as something else may tell more. */
  readonly isUnknownName?: boolean;
  readonly pointers?: readonly FollowedPointer[];
}

function locate(request: WatchRequest, names: NameSpace): Place | NoPlace {
  const { location } = request;
  if (location.type === 'address') {
    const { address } = location;
    const isMapped =
      names.space?.mappings().some(({ start, end }) => start <= address && address < end) ?? true;
    if (isMapped || address >= kernelSpace) return { address };
    return {
      address,
      note: `${hex(address)} is not mapped in ${names.description} now: nothing can hit it yet`,
    };
  }
  const { space, known } = names;
  if (location.type === 'expression') {
    if (space !== undefined && known === undefined)
      return locateExpression(request, location.place, 0n, names);
    const why = known === undefined ? 'expressions need a process (-p, -t or a command)' : known.hint;
    return { error: requestError(`'${request.text}': ${why}`), mayAppear: false };
  }
  const { name, module, offset } = location;
  if (known !== undefined) {
    const full = module === undefined ? name : `${module}:${name}`;
    const place = known.find(full);
    if (place === undefined)
      return {
        error: requestError(`'${request.text}': there is no '${full}'; ${known.hint}`),
        mayAppear: false,
      };
    const { address, isCode, module: owner } = place;
    return { address: address + offset, isFunction: isCode, symbol: name, module: owner };
  }
  if (space === undefined) return locateInKernel(request, name, offset, names);
  const resolution = space.resolve(module === undefined ? { name } : { name, module });
  if (resolution.kind === 'found') {
    const copy = module === undefined ? undefined : copyInProgram(resolution, space);
    if (copy === undefined) return at(resolution, offset);
    const note = `${resolution.module.name}'s ${name} is not in use: the program has its own copy of it, which is watched (copy relocation)`;
    return { ...at(copy, offset), note };
  }
  if (resolution.kind === 'unknown' && module === undefined) {
    const address = space.moduleOffset(name, offset);
    if (address !== undefined && location.offset >= 0n) return { address, module: name };
  }
  const expression = nameAsExpression(name, module);
  if (expression !== undefined) {
    const place = locateExpression(request, expression, offset, names);
    if (!('error' in place) || place.isUnknownName !== true) return place;
  }
  return {
    error: requestError(explainResolution(request, resolution, names)),
    mayAppear:
      resolution.kind === 'unknown' || (resolution.kind === 'unmapped' && resolution.reason === 'undefined'),
  };
}

function locateExpression(
  request: WatchRequest,
  expression: PlaceExpression,
  offset: bigint,
  names: NameSpace,
): Place | NoPlace {
  const { space } = names;
  assert(space !== undefined, 'expressions are of a process');
  const result = evaluateRequest(request.text, expression, { space, threadLocals: names.threadLocals });
  if ('error' in result) return result;
  const { place } = result;
  if (place.pointers.length > 0 && names.settled === false) {
    const error = requestError(`'${request.text}': pointers are followed at the program's entry point`);
    return { error, mayAppear: true };
  }
  const { pointers } = place;
  const note = pointerNote(request.text, place, { follow: names.follow === true });
  const left = BigInt(place.lenBytes) - offset;
  return {
    address: place.address + offset,
    isFunction: place.isFunction,
    ...(offset === 0n && left > 0n ? { sizeBytes: left } : {}),
    ...(offset === 0n && place.type !== undefined ? { type: place.type, bits: place.bits } : {}),
    ...(place.root === undefined ? {} : { symbol: place.root.name, module: place.root.module.name }),
    ...(note === undefined ? {} : { note }),
    ...(pointers.length === 0 ? {} : { pointers }),
    pieces: offset === 0n ? slicePieces(expression, place) : undefined,
    slice: offset === 0n ? sliceOf(expression, place) : undefined,
  };
}

/**
 * A library's variable that a program refers to directly gets a copy in the program when it is linked, and everyone
 * uses the copy: the program's global variable of the same name and size.
 */
function copyInProgram(found: ResolvedSymbol, space: AddressSpace): ResolvedSymbol | undefined {
  const [program] = space.modules();
  if (program === undefined || found.module === program || found.symbol.kind !== 'object') return undefined;
  const own = space.resolve({ name: found.symbol.name, module: program.path });
  const isCopy =
    own.kind === 'found' &&
    own.module === program &&
    own.symbol.binding === 'global' &&
    own.sizeBytes === found.sizeBytes;
  return isCopy ? own : undefined;
}

function at(found: ResolvedSymbol, offset: bigint): Place {
  const { symbol, module } = found;
  const left = found.sizeBytes - offset;
  const type = offset === 0n ? typeOfSymbol(found) : undefined;
  return {
    address: found.address + offset,
    // With an offset, what is meant is something inside: the symbol's size says nothing about it.
    ...(offset === 0n && left > 0n ? { sizeBytes: left } : {}),
    isFunction: symbol.kind === 'function',
    symbol: symbol.name,
    module: module.name,
    ...(type === undefined ? {} : { type }),
  };
}

function locateInKernel(
  request: WatchRequest,
  name: string,
  offset: bigint,
  names: NameSpace,
): Place | NoPlace {
  const kallsyms = names.kallsyms?.();
  const fail = (why: string): NoPlace => ({
    error: requestError(`'${request.text}': ${why}`),
    mayAppear: false,
  });
  if (kallsyms === undefined)
    return fail(
      'names need a process (-p, -t or a command); give an address, or the name of a kernel symbol as root',
    );
  const found = resolveKernelName(name, { kallsyms, btf: () => names.btf?.() });
  if ('why' in found) return fail(found.why);
  const { type, sizeBytes } = found;
  return {
    address: found.address + offset,
    symbol: name,
    module: 'kernel',
    isFunction: found.isFunction,
    ...(type === undefined || offset !== 0n ? {} : { type }),
    ...(sizeBytes === undefined || offset !== 0n ? {} : { sizeBytes: BigInt(sizeBytes) }),
  };
}

function fitPlace(request: WatchRequest, place: Place): PlannedWatch | UnplannedRequest {
  const access: WatchAccess = request.access ?? (place.isFunction === true ? 'x' : 'rw');
  const lenBytes =
    request.lenBytes ?? (access === 'x' ? executeLenBytes : (place.sizeBytes ?? defaultLenBytes));
  const fitting = fitRequest({ address: place.address, lenBytes, access });
  if (fitting.fits && access !== 'r') {
    return {
      text: request.text,
      address: place.address,
      lenBytes: Number(lenBytes),
      access,
      ...(request.only === undefined ? {} : { only: request.only }),
      ...(place.symbol === undefined ? {} : { symbol: place.symbol }),
      ...(place.module === undefined ? {} : { module: place.module }),
      ...(place.type === undefined || (place.bits === undefined && place.type.byteSize > Number(lenBytes))
        ? {}
        : { type: place.type }),
      ...(place.bits === undefined ? {} : { bits: place.bits }),
      ...(place.note === undefined ? {} : { note: place.note }),
      ...(place.pointers === undefined ? {} : { pointers: place.pointers }),
    };
  }
  const reason = fitting.fits ? 'cannot be watched' : fitting.reason;
  if (access === 'r' || access === 'x' || fitting.pieceCount === 0n) {
    return { request, error: requestError(`'${request.text}': ${reason}`), mayAppear: false };
  }
  const size = request.lenBytes === undefined && place.sizeBytes !== undefined ? ' by its size' : '';
  const { name, offset } = spellPlace(request, place.address);
  const pieces = spellPieces(name, place.address - offset, fitting);
  return {
    request,
    error: requestError(`'${request.text}'${size}: ${reason}; pieces that fit: ${pieces}`),
    mayAppear: false,
  };
}

/** What stands for a request's place, without length and access, and how far behind it the place is. */
function spellPlace(request: WatchRequest, address: bigint): { name: string; offset: bigint } {
  const { location } = request;
  if (location.type === 'address') return { name: hex(location.address), offset: 0n };
  if (location.type === 'expression') return { name: hex(address), offset: 0n };
  const { module, name, offset } = location;
  const qualified = module === undefined ? name : `${module}:${name}`;
  return offset < 0n ? { name: `${qualified}${offset}`, offset: 0n } : { name: qualified, offset };
}

/** How many names a message lists at the most. */
const mostListed = 5;

function explainResolution(
  request: WatchRequest,
  resolution: Exclude<Resolution, { kind: 'found' }>,
  names: NameSpace,
): string {
  const prefix = `'${request.text}':`;
  const { location } = request;
  const name = location.type === 'name' ? location.name : '';
  switch (resolution.kind) {
    case 'ambiguous': {
      const listed = resolution.candidates.slice(0, mostListed).map((candidate) => {
        const file = candidate.symbol.sourceFile === undefined ? '' : ` of ${candidate.symbol.sourceFile}`;
        return `${hex(candidate.address)}/${candidate.sizeBytes} (${candidate.module.name}${file})`;
      });
      const more = resolution.candidates.length - listed.length;
      return `${prefix} ${resolution.candidates.length} variables have this name; give the address of one: ${listed.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
    }
    case 'unmapped':
      switch (resolution.reason) {
        case 'thread-local':
          return `${prefix} ${name} is thread-local: every thread has its own, so the name has no one address`;
        case 'common':
          return `${prefix} ${name} has no address before the program is linked`;
        case 'undefined':
          return `${prefix} ${resolution.module.name} uses ${name} but no module of ${names.description} defines it`;
      }
      break;
    case 'unknown': {
      if (!resolution.moduleKnown) {
        const modules = names.space?.modules().map((module) => module.name) ?? [];
        const module = location.type === 'name' ? (location.module ?? '') : '';
        return `${prefix} no module '${module}' in ${names.description}; mapped are ${modules.slice(0, 12).join(', ')}${modules.length > 12 ? ', …' : ''}${/^[a-z]{1,3}$/i.test(name) && !/^(r|w|x|rw|wr)$/.test(name) ? ` (and ':${name}' is no access: those are :r, :w, :rw, :x)` : ''}`;
      }
      const near = resolution.nearMisses.slice(0, mostListed).map(({ symbol }) => symbol.name);
      const parts = [`${prefix} no variable or function '${name}' in ${names.description}`];
      if (near.length > 0) parts.push(`did you mean ${[...new Set(near)].join(', ')}?`);
      for (const module of resolution.unreadableModules.slice(0, 2))
        parts.push(module.error?.message ?? `${module.name} cannot be read`);
      const stripped = resolution.strippedModules.map((module) => module.name);
      const [main] = names.space?.modules() ?? [];
      if (main !== undefined && stripped.includes(main.name)) {
        parts.push(
          `${main.name} is stripped (no symbol table): install its debug symbols, or give ${main.name}+0xOFFSET or an address`,
        );
      }
      return parts.join('; ');
    }
  }
  return `${prefix} not found`;
}
