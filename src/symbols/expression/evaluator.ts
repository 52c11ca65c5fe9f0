import { hex } from '../../base/hex.ts';
import type { AddressSpace } from '../address-space.ts';
import type { Module } from '../module.ts';
import type { ArrayType, PointerType, StructType, TypeDescription } from '../types.ts';
import { unaliased } from '../types.ts';
import { plainType } from './c-types.ts';
import type { Expression, NameExpression, PlaceExpression, TypeName } from './expression.ts';
import { ExpressionError } from './expression-error.ts';
import { findMember, type MemoryReader, memberNames } from './members.ts';
import { lookUpName, lookUpType } from './name-lookup.ts';
import type { FollowedPointer, ResolvedPlace } from './resolved-place.ts';
import { spellExpression } from './spell.ts';

/** Where the thread-local variables of a process are. */
export interface ThreadLocals {
  /**
   * The address of `offset` in the block that `module` has in a thread: `tid`, or the only one there is. A text says why
   * there is none.
   */
  address(module: Module, offset: bigint, tid: number | undefined): { address: bigint; tid: number } | string;
}

/** What an expression is evaluated in. */
export interface EvaluationContext {
  /** Of a file without a process, pointers cannot be followed. */
  readonly space: AddressSpace;
  readonly threadLocals?: ThreadLocals | undefined;
}

/**
 * What an expression means now. Pointers on the way are read from the process; what they held is in the result.
 *
 * @throws {ExpressionError} that says where in the text it does not become a place, and why.
 */
export function evaluatePlace(place: PlaceExpression, context: EvaluationContext): ResolvedPlace {
  return new Evaluator(place, context).resolve();
}

/** Something that an expression came to. */
type Value =
  | {
      readonly kind: 'place';
      readonly address: bigint;
      readonly type: TypeDescription | undefined;
      readonly lenBytes: number;
      readonly bits?: { readonly offset: number; readonly size: number } | undefined;
      readonly isFunction?: boolean;
    }
  | { readonly kind: 'number'; readonly value: bigint; readonly type: TypeDescription | undefined };

class Evaluator {
  readonly #place: PlaceExpression;
  readonly #context: EvaluationContext;
  readonly #pointers: FollowedPointer[] = [];
  #root: ResolvedPlace['root'];
  #tid: number | undefined;
  #how: string = 'the address as given';

  constructor(place: PlaceExpression, context: EvaluationContext) {
    this.#place = place;
    this.#context = context;
  }

  resolve(): ResolvedPlace {
    const { expression, tid } = this.#place;
    let value = this.#evaluate(expression);
    // A reference is what it refers to.
    const referred = value.kind === 'place' ? pointerOf(value.type) : undefined;
    if (value.kind === 'place' && referred?.reference === true)
      value = this.#follow(value, referred, expression);
    if (value.kind === 'number') {
      throw this.#error(
        'type',
        expression,
        `'${spellExpression(expression)}' is a value and has no place; '*' in front follows it`,
      );
    }
    if (tid !== undefined && this.#tid === undefined) {
      throw this.#error('type', expression, `'@${tid}' picks a thread's own, but this is not thread-local`);
    }
    return {
      address: BigInt.asUintN(64, value.address),
      lenBytes: value.lenBytes,
      type: value.type,
      bits: value.bits,
      isFunction: value.isFunction === true,
      root: this.#root,
      pointers: this.#pointers,
      tid: this.#tid,
      how: this.#how,
    };
  }

  #evaluate(expression: Expression): Value {
    switch (expression.kind) {
      case 'number':
        return { kind: 'number', value: expression.value, type: undefined };
      case 'name':
        return this.#name(expression);
      case 'deref': {
        const of = this.#evaluate(expression.of);
        const array = of.kind === 'place' ? arrayOf(of.type) : undefined;
        if (of.kind === 'place' && array !== undefined) return placeOf(of.address, array.element);
        return this.#follow(of, this.#pointerOf(of, expression.of, expression), expression.of);
      }
      case 'member':
        return this.#member(expression);
      case 'index':
        return this.#index(expression);
      case 'slice': {
        const first = this.#index({ ...expression, kind: 'index', index: expression.from });
        const last = this.#index({ ...expression, kind: 'index', index: expression.to - 1n });
        const count = Number(expression.to - expression.from);
        const lenBytes = first.lenBytes * count;
        if (!Number.isSafeInteger(lenBytes) || last.address < first.address) {
          throw this.#error('type', expression, 'the slice is too long');
        }
        const element = first.type;
        const type: TypeDescription | undefined =
          element === undefined
            ? undefined
            : {
                kind: 'array',
                name: `${element.name}[${count}]`,
                byteSize: lenBytes,
                element,
                count,
                vector: false,
              };
        return { kind: 'place', address: first.address, type, lenBytes };
      }
      case 'cast':
        return this.#cast(expression);
    }
  }

  #name(expression: NameExpression): Value {
    const { space, threadLocals } = this.#context;
    const found = lookUpName(space, expression);
    switch (found.kind) {
      case 'name':
      case 'ambiguous':
      case 'type':
        throw this.#error(found.kind, expression, found.message);
      case 'symbol': {
        const { address, sizeBytes, isFunction, module, how } = found;
        this.#root = { name: expression.path.join('::'), module, sourceFile: undefined };
        this.#how = how;
        return { kind: 'place', address, lenBytes: sizeBytes, type: undefined, isFunction };
      }
      case 'variable': {
        const { variable, threadOffset, how } = found;
        const { module, declaration, type } = variable;
        const scopes = declaration.scopes.filter((scope) => scope !== '');
        this.#root = {
          name: [...scopes, declaration.name].join('::'),
          module,
          sourceFile: declaration.sourceFile,
        };
        this.#how = how;
        if (found.address !== undefined) return placeOf(found.address, type);
        const spelled = spellExpression(expression);
        const local =
          threadLocals === undefined
            ? `'${spelled}' is thread-local: every thread of a process has its own`
            : threadLocals.address(module, threadOffset ?? 0n, this.#place.tid);
        if (typeof local === 'string') {
          throw this.#error(
            'place',
            expression,
            threadLocals === undefined ? local : `'${spelled}': ${local}`,
          );
        }
        this.#tid = local.tid;
        this.#how = `${how}; thread ${local.tid}'s own`;
        return placeOf(local.address, type);
      }
    }
  }

  #member(expression: Expression & { kind: 'member' }): Value {
    let of = this.#evaluate(expression.of);
    // `.` on a pointer is taken as `->`, as gdb does; `->` takes a pointer.
    const pointer = pointerOf(of.type);
    if (pointer !== undefined || expression.arrow) {
      of = this.#follow(of, this.#pointerOf(of, expression.of, expression), expression.of);
      const inner = pointerOf(of.type);
      if (inner?.reference === false && pointer?.reference === true) {
        of = this.#follow(of, inner, expression.of);
      }
    }
    const text = spellExpression(expression.of);
    if (of.kind === 'number' || of.type === undefined) {
      throw this.#error(
        'type',
        expression,
        `the type of '${text}' is not known: no debug information; a cast can say it`,
      );
    }
    const struct = unaliased(of.type);
    if (struct.kind !== 'struct') {
      throw this.#error(
        'type',
        expression,
        `'${text}' is no struct but '${of.type.name}': it has no member '${expression.name}'`,
      );
    }
    const readMemory = this.#readMemory;
    const found = findMember(struct, expression.name, { address: of.address, readMemory });
    if (found === 'unreadable') {
      throw this.#error(
        'place',
        expression,
        `'${expression.name}' is in a virtual base of '${text}', which takes a live process to find`,
      );
    }
    if (found === undefined) throw this.#error('type', expression, noMember(struct, expression.name, text));
    const { member, address } = found;
    return {
      kind: 'place',
      address,
      type: member.type,
      lenBytes: member.bits === undefined ? member.type.byteSize : member.storageBytes,
      bits: member.bits,
    };
  }

  #index(expression: Expression & { kind: 'index' }): Value & { kind: 'place' } {
    let of = this.#evaluate(expression.of);
    const { index } = expression;
    const text = spellExpression(expression.of);
    const reference = pointerOf(of.type);
    if (reference?.reference === true) of = this.#follow(of, reference, expression.of);
    const slice = of.kind === 'place' ? sliceOf(of.type) : undefined;
    if (slice !== undefined && of.kind === 'place')
      of = placeOf(of.address + BigInt(slice.offset), slice.pointer);
    const array = of.kind === 'place' ? arrayOf(of.type) : undefined;
    let first: Value & { kind: 'place' };
    if (array !== undefined && of.kind === 'place') {
      const { count } = array;
      if (index < 0n) throw this.#error('type', expression, `'${text}' begins at 0: there is no [${index}]`);
      // An array of one or none at the end of a struct is an old way to say "more follow".
      if (count !== undefined && count > 1 && index >= BigInt(count)) {
        throw this.#error('type', expression, `'${text}' has ${count} elements: there is no [${index}]`);
      }
      first = placeOf(of.address, array.element);
    } else {
      if (pointerOf(of.type) === undefined && of.type !== undefined) {
        throw this.#error(
          'type',
          expression,
          `'${text}' is neither an array nor a pointer but '${of.type.name}'`,
        );
      }
      first = this.#follow(of, this.#pointerOf(of, expression.of, expression), expression.of);
    }
    if (first.lenBytes === 0) {
      throw this.#error('type', expression, `how large an element of '${text}' is is not known`);
    }
    const address = first.address + index * BigInt(first.lenBytes);
    if (address < 0n || address > 0xffff_ffff_ffff_ffffn) {
      throw this.#error('type', expression, `[${index}] leads out of the address space`);
    }
    return { ...first, address };
  }

  #cast(expression: Expression & { kind: 'cast' }): Value {
    const type = this.#typeNamed(expression.type);
    const of = this.#evaluate(expression.of);
    if (of.kind === 'number') return { ...of, type };
    const own = of.type === undefined ? undefined : unaliased(of.type);
    if (own?.kind === 'array' && pointerOf(type) !== undefined)
      return { kind: 'number', value: of.address, type };
    if (of.lenBytes !== 0 && of.lenBytes !== type.byteSize && type.byteSize > of.lenBytes) {
      const text = spellExpression(expression.of);
      throw this.#error(
        'type',
        expression,
        `'${text}' has ${of.lenBytes} bytes: a '${type.name}' of ${type.byteSize} is not in it`,
      );
    }
    return { kind: 'place', address: of.address, type, lenBytes: type.byteSize };
  }

  get #readMemory(): MemoryReader | undefined {
    const { space } = this.#context;
    return space.hasMemory ? (address, lengthBytes) => space.readMemory(address, lengthBytes) : undefined;
  }

  #typeNamed(name: TypeName): TypeDescription {
    const { path, keyword, pointers } = name;
    let type = plainType(path, keyword) ?? lookUpType(this.#context.space, { path, keyword });
    if (type === undefined) {
      const spelled = `${keyword === undefined ? '' : `${keyword} `}${path.join('::')}`;
      throw this.#error('name', name, `no type '${spelled}' in the debug information`);
    }
    for (let i = 0; i < pointers; i++) type = pointerTo(type);
    return type;
  }

  #pointerOf(value: Value, of: Expression, at: { readonly at: number }): PointerType {
    const pointer = pointerOf(value.type);
    if (pointer !== undefined) return pointer;
    const text = spellExpression(of);
    if (value.type === undefined) {
      throw this.#error(
        'type',
        at,
        `the type of '${text}' is not known: a cast can say it, as in *(int *)${text}`,
      );
    }
    throw this.#error('type', at, `'${text}' is no pointer but '${value.type.name}'`);
  }

  /** What a pointer points to: its value is read, and kept in the list of what the place depends on. */
  #follow(value: Value, pointer: PointerType, of: Expression): Value & { kind: 'place' } {
    const text = spellExpression(of);
    let target: bigint;
    if (value.kind === 'number') target = value.value;
    else {
      const readMemory = this.#readMemory;
      if (readMemory === undefined) {
        throw this.#error(
          'place',
          of,
          `'${text}' is a pointer: what it points to is known in a running process only (-p PID)`,
        );
      }
      const lenBytes = pointer.byteSize === 4 ? 4 : 8;
      const bytes = readMemory(value.address, lenBytes);
      if (bytes === undefined || bytes.length < lenBytes) {
        throw this.#error(
          'place',
          of,
          `'${text}' cannot be read: nothing readable at ${hex(BigInt.asUintN(64, value.address))}`,
        );
      }
      target = 0n;
      for (let i = lenBytes - 1; i >= 0; i--) target = (target << 8n) | BigInt(bytes[i] ?? 0);
      this.#pointers.push({ text, address: BigInt.asUintN(64, value.address), lenBytes, value: target });
      if (target === 0n) throw this.#error('place', of, `'${text}' is null now: it points nowhere`);
      const mappings = this.#context.space.mappings();
      const isMapped = mappings.some(({ start, end }) => start <= target && target < end);
      // Memory that was mapped since the list was made can be read all the same.
      if (!isMapped && (readMemory(target, 1)?.length ?? 0) === 0) {
        throw this.#error('place', of, `'${text}' holds ${hex(target)} now, where nothing is mapped`);
      }
    }
    const inner = unaliased(pointer.target);
    if (inner.kind === 'function') {
      return { kind: 'place', address: target, type: pointer.target, lenBytes: 0, isFunction: true };
    }
    return placeOf(target, pointer.target);
  }

  #error(kind: ExpressionError['kind'], where: { readonly at: number }, message: string): ExpressionError {
    const pointers = [...this.#pointers];
    return new ExpressionError(kind, message, { text: this.#place.text, at: where.at, pointers });
  }
}

function placeOf(address: bigint, type: TypeDescription): Value & { kind: 'place' } {
  return { kind: 'place', address, type, lenBytes: type.byteSize };
}

function pointerOf(type: TypeDescription | undefined): PointerType | undefined {
  const inner = type === undefined ? undefined : unaliased(type);
  return inner?.kind === 'pointer' ? inner : undefined;
}

function arrayOf(type: TypeDescription | undefined): ArrayType | undefined {
  const inner = type === undefined ? undefined : unaliased(type);
  return inner?.kind === 'array' ? inner : undefined;
}

/** A slice of Rust: a pointer and a length. */
function sliceOf(type: TypeDescription | undefined): { offset: number; pointer: PointerType } | undefined {
  const inner = type === undefined ? undefined : unaliased(type);
  if (inner?.kind !== 'struct' || inner.members.length !== 2) return undefined;
  const data = inner.members.find(({ name }) => name === 'data_ptr');
  const pointer = pointerOf(data?.type);
  const hasLength = inner.members.some(({ name }) => name === 'length');
  return data === undefined || pointer === undefined || !hasLength
    ? undefined
    : { offset: data.byteOffset, pointer };
}

function pointerTo(target: TypeDescription): PointerType {
  const name = target.name.endsWith('*') ? `${target.name}*` : `${target.name} *`;
  return { kind: 'pointer', name, byteSize: 8, reference: false, target };
}

function noMember(struct: StructType, name: string, text: string): string {
  if (struct.incomplete) return `'${struct.name}' is declared but not defined in the debug information`;
  const names = memberNames(struct);
  const listed = names.slice(0, 12).join(', ');
  return `'${text}' has no member '${name}'; '${struct.name}' has ${names.length === 0 ? 'none' : `${listed}${names.length > 12 ? ', …' : ''}`}`;
}
