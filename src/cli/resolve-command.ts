import fs from 'node:fs';
import path from 'node:path';
import { machineSurface } from '../api/machine-surface.ts';
import { symbolResources } from '../api/symbol-resources.ts';
import { hex } from '../base/hex.ts';
import { KernelError } from '../base/kernel-error.ts';
import { AddressSpace } from '../symbols/address-space.ts';
import { ElfError } from '../symbols/elf-error.ts';
import type { ThreadLocals } from '../symbols/expression/evaluator.ts';
import type { ResolvedPlace } from '../symbols/expression/resolved-place.ts';
import { fileImage } from '../symbols/file-image.ts';
import { Kallsyms } from '../symbols/kallsyms.ts';
import { resolveKernelName } from '../symbols/kernel-names.ts';
import { requestError } from '../watch/errors.ts';
import { readKernelBtf } from '../watch/kernel-btf.ts';
import { evaluateRequest, nameAsExpression } from '../watch/plan-expression.ts';
import { SurfaceProcessImage } from '../watch/process-image.ts';
import { checkTarget } from '../watch/target.ts';
import { threadLocalsOf } from '../watch/thread-locals.ts';
import { parseWatchRequest } from '../watch/watch-request.ts';
import { parseCount } from './durations.ts';
import { UsageError } from './errors.ts';
import { printable } from './printable.ts';

/** The options of `trapline resolve`, as commander gives them. */
export interface ResolveFlags {
  readonly pid?: string;
  readonly json?: boolean;
}

/**
 * `trapline resolve`: what an expression means in a process (`-p`), in a file, or, without either, in the kernel.
 * Throws `UsageError` and `WatchError`. @returns the exit status.
 */
export function resolveCommand(text: string, file: string | undefined, flags: ResolveFlags): number {
  if (file !== undefined && flags.pid !== undefined) throw new UsageError('-p and a file exclude each other');
  const where =
    flags.pid !== undefined ? process(flags.pid) : file === undefined ? undefined : fileSpace(file);
  const answer = where === undefined ? inKernel(text) : inSpace(text, where);
  where?.close();
  const lines = flags.json === true ? [JSON.stringify(answer)] : textOf(answer);
  fs.writeSync(1, `${lines.join('\n')}\n`);
  return 0;
}

/** What `--json` prints. Numbers of 64 bits are "0x…". */
interface Answer {
  readonly expression: string;
  readonly address: string;
  /** Absent where nothing says it. */
  readonly lenBytes?: number;
  readonly type?: string;
  readonly bits?: { readonly offset: number; readonly size: number };
  readonly function?: true;
  /** With its scopes. */
  readonly symbol?: string;
  readonly module?: string;
  readonly file?: string;
  readonly tid?: number;
  /** What was followed on the way, outermost first. */
  readonly pointers: readonly {
    readonly expression: string;
    readonly address: string;
    readonly value: string;
  }[];
  readonly how: string;
}

interface Where {
  readonly space: AddressSpace;
  readonly threadLocals?: ThreadLocals | undefined;
  close(): void;
}

function process(pidText: string): Where {
  const pid = parseCount(pidText, 'process id');
  const surface = machineSurface();
  checkTarget({ type: 'process', pid }, surface.tasks);
  const image = new SurfaceProcessImage(surface, pid, symbolResources());
  const space = new AddressSpace(image);
  if (space.mappings().length === 0) {
    image.close();
    throw requestError(`process ${pid} has no memory that can be seen (a kernel thread, or another user's)`);
  }
  return { space, threadLocals: threadLocalsOf(surface, { pid, space }), close: () => image.close() };
}

function fileSpace(file: string): Where {
  const { files } = machineSurface();
  const open = (one: string) => {
    try {
      return files.open(one);
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  };
  const absolute = path.resolve(file);
  try {
    const source = files.open(absolute);
    const image = fileImage({ path: absolute, source, openPath: open, resources: symbolResources() });
    return { space: new AddressSpace(image), close: () => source.close() };
  } catch (error) {
    if (error instanceof ElfError) throw requestError(error.message);
    if (error instanceof KernelError) throw requestError(`${file}: ${error.code}`);
    throw error;
  }
}

function inSpace(text: string, where: Where): Answer {
  const { space } = where;
  const { location } = parseWatchRequest(text);
  if (location.type === 'address') {
    const { symbol, module, moduleOffset } = space.locate(location.address);
    const how = 'the address as given';
    return {
      expression: text,
      address: hex(location.address),
      ...(symbol === undefined ? {} : { symbol }),
      ...(module === undefined
        ? {}
        : { module: moduleOffset === undefined ? module : `${module}+${hex(moduleOffset)}` }),
      pointers: [],
      how,
    };
  }
  const offset = location.type === 'name' ? location.offset : 0n;
  const expression =
    location.type === 'expression' ? location.place : nameAsExpression(location.name, location.module);
  if (expression !== undefined) {
    const result = evaluateRequest(text, expression, where);
    if ('place' in result) return answerOf(text, result.place, offset);
    if (!result.isUnknownName || location.type === 'expression') throw result.error;
  }
  if (location.type === 'name' && location.module === undefined) {
    const symbol = space.resolve({ name: location.name });
    if (symbol.kind === 'found') {
      const { address, sizeBytes, module } = symbol;
      return {
        expression: text,
        address: hex(address + offset),
        ...(sizeBytes === 0n || offset !== 0n ? {} : { lenBytes: Number(sizeBytes) }),
        ...(symbol.symbol.kind === 'function' ? { function: true } : {}),
        symbol: location.name,
        module: module.name,
        pointers: [],
        how: `symbol table of ${module.name}`,
      };
    }
    const address = space.moduleOffset(location.name, offset);
    if (address !== undefined) {
      return {
        expression: text,
        address: hex(address),
        module: location.name,
        pointers: [],
        how: 'offset in the module',
      };
    }
  }
  if (expression !== undefined) {
    const result = evaluateRequest(text, expression, where);
    if ('error' in result) throw result.error;
  }
  throw requestError(`'${text}': no such name`);
}

function answerOf(text: string, place: ResolvedPlace, offset: bigint): Answer {
  const { root, type, lenBytes, bits } = place;
  const isWhole = offset === 0n;
  return {
    expression: text,
    address: hex(BigInt.asUintN(64, place.address + offset)),
    ...(lenBytes === 0 || !isWhole ? {} : { lenBytes }),
    ...(type === undefined || !isWhole ? {} : { type: type.name }),
    ...(bits === undefined || !isWhole ? {} : { bits }),
    ...(place.isFunction ? { function: true } : {}),
    ...(root === undefined ? {} : { symbol: root.name, module: root.module.name }),
    ...(root?.sourceFile === undefined ? {} : { file: root.sourceFile }),
    ...(place.tid === undefined ? {} : { tid: place.tid }),
    pointers: place.pointers.map((pointer) => ({
      expression: pointer.text,
      address: hex(pointer.address),
      value: hex(pointer.value),
    })),
    how: place.how,
  };
}

function inKernel(text: string): Answer {
  const { location } = parseWatchRequest(text);
  const { files } = machineSurface();
  if (location.type !== 'name' || location.module !== undefined) {
    throw new UsageError("where? give -p PID or a FILE; without them a name is the kernel's");
  }
  const kallsyms = Kallsyms.parse(files.text('/proc/kallsyms'));
  const found = resolveKernelName(location.name, { kallsyms, btf: () => readKernelBtf(files) });
  if ('why' in found)
    throw requestError(`'${text}': ${found.why}; for a program's name give -p PID or a FILE`);
  const { type, sizeBytes } = found;
  const isWhole = location.offset === 0n;
  return {
    expression: text,
    address: hex(found.address + location.offset),
    ...(sizeBytes === undefined || !isWhole ? {} : { lenBytes: sizeBytes }),
    ...(type === undefined || !isWhole ? {} : { type: type.name }),
    ...(found.isFunction ? { function: true } : {}),
    symbol: location.name,
    module: 'kernel',
    pointers: [],
    how: type === undefined ? '/proc/kallsyms' : '/proc/kallsyms and /sys/kernel/btf/vmlinux',
  };
}

function textOf(answer: Answer): string[] {
  const rows: [string, string | undefined][] = [
    ['address', answer.address],
    ['length', answer.lenBytes === undefined ? undefined : String(answer.lenBytes)],
    ['type', answer.function === true && answer.type === undefined ? 'function' : answer.type],
    ['bits', answer.bits === undefined ? undefined : `${answer.bits.size} from bit ${answer.bits.offset}`],
    ['symbol', answer.symbol],
    ['module', answer.module],
    ['thread', answer.tid === undefined ? undefined : String(answer.tid)],
    ...answer.pointers.map((pointer): [string, string] => [
      'pointer',
      `${pointer.expression} at ${pointer.address} = ${pointer.value}`,
    ]),
    ['found by', answer.how],
  ];
  return rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name.padEnd(9)}${printable(value)}`],
  );
}
