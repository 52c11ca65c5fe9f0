import type { AccessTrace } from './access-trace.ts';

/** Where the instruction that an operation executes stands; absent: where the task is. */
export interface InstructionPlace {
  /** Address of the first byte, u64. */
  readonly ip?: bigint;
  /** Length of the instruction in bytes; default 4. */
  readonly ipBytes?: number;
}

/**
 * One thing that a task does. All but the last group are exactly one instruction. Addresses are linear, u64; lengths
 * in bytes.
 */
export type Operation =
  | ({ readonly type: 'load'; readonly at: bigint; readonly lenBytes: number } & InstructionPlace)
  | ({
      readonly type: 'store';
      readonly at: bigint;
      readonly lenBytes: number;
      readonly value?: bigint;
    } & InstructionPlace)
  /** Loads, adds `value` (default 1), stores. */
  | ({
      readonly type: 'rmw';
      readonly at: bigint;
      readonly lenBytes: number;
      readonly value?: bigint;
    } & InstructionPlace)
  /** An instruction that touches no memory; with `to` a jump there. */
  | ({ readonly type: 'execute'; readonly to?: bigint } & InstructionPlace)
  /** The one-byte instruction F1. */
  | ({ readonly type: 'icebp' } & InstructionPlace)
  | ({ readonly type: 'int3' } & InstructionPlace)
  /** The kernel stores bytes on the task's behalf, `unitBytes` (default 1) at a time. */
  | {
      readonly type: 'kernelStore';
      readonly at: bigint;
      readonly bytes: Uint8Array;
      readonly unitBytes?: number;
    }
  /** Accesses `from` to `to` of a recording; values are not known, so memory stays as it is. */
  | { readonly type: 'replay'; readonly trace: AccessTrace; readonly from?: number; readonly to?: number }
  | { readonly type: 'thread'; readonly program?: Program; readonly name?: string }
  | {
      readonly type: 'fork';
      readonly program?: Program;
      readonly name?: string;
      readonly clearHandlers?: boolean;
    }
  | { readonly type: 'exec' }
  | { readonly type: 'exit' }
  /** Gives the CPU to the next task. */
  | { readonly type: 'yield' };

/** What an operation answers: a loaded number, the tid of a new task; 0n otherwise. */
export type OperationResult = bigint;

/** What a task does by itself: a generator that yields operations and is given their results. */
export type Program = () => Generator<Operation, void, OperationResult>;

/** A program that does the operations of a list, `times` times over. */
export function operationList(operations: readonly Operation[], times: number = 1): Program {
  return function* run() {
    for (let i = 0; i < times; i++) yield* operations;
  };
}

/** A program that replays a recording. */
export function replayProgram(trace: AccessTrace): Program {
  return function* run() {
    yield { type: 'replay', trace };
  };
}
