import { NT_ARM_HW_BREAK, NT_ARM_HW_WATCH } from '../../uapi/ptrace.ts';
import {
  decodeHwdebugState,
  encodeHwdebugState,
  HWDEBUG_ENTRIES,
  HWDEBUG_ENTRY_BYTES,
  HWDEBUG_STATE_BYTES,
  HWDEBUG_STATE_HEADER_BYTES,
  type HwdebugEntry,
} from '../../uapi/user-hwdebug-state.ts';
import { toInteger } from '../integer.ts';
import type { Awaitable } from '../lab.ts';
import { nameAddress, resolveAddress, StepError } from '../values.ts';
import {
  after,
  done,
  type StepContext,
  type StepHandlers,
  type StepKeys,
  traceable,
} from './step-context.ts';

/** Bytes that a step may pass at most: more than any kernel looks at. */
const lengthBytesMax = 4096;

/** Register sets of a tracee. */
interface Regsets {
  read(name: string, type: number, lengthBytes: number): Awaitable<Uint8Array>;
  write(name: string, type: number, bytes: Uint8Array): Awaitable<void>;
}

/** PTRACE_GETREGSET and PTRACE_SETREGSET of arm64's debug registers. docs/spec/09 "Steps". */
export function regsetSteps(context: StepContext, regsets: Regsets): StepHandlers {
  return {
    getregset: (keys) =>
      after(
        regsets.read(traceable(keys), setOf(keys), lengthOf(context, keys, HWDEBUG_STATE_BYTES)),
        (bytes) => {
          const { info, entries } = decodeHwdebugState(bytes);
          const used = entries.findLastIndex(({ addr, ctrl }) => addr !== 0n || ctrl !== 0) + 1;
          return {
            errno: 0,
            bytes: bytes.length,
            info,
            entries: entries.slice(0, used).map(({ addr, ctrl }) => ({
              addr: nameAddress(context.lab, context.tasks, addr),
              ctrl: `0x${ctrl.toString(16)}`,
            })),
          };
        },
      ),
    setregset: (keys) => {
      const entries = entriesOf(context, keys);
      const whole = encodeHwdebugState({ info: 0, entries: entries.slice(0, HWDEBUG_ENTRIES) });
      const length = lengthOf(
        context,
        keys,
        HWDEBUG_STATE_HEADER_BYTES + entries.length * HWDEBUG_ENTRY_BYTES,
      );
      const bytes = new Uint8Array(length);
      bytes.set(whole.subarray(0, length));
      return after(regsets.write(traceable(keys), setOf(keys), bytes), () => done);
    },
  };
}

function setOf(keys: StepKeys): number {
  if (keys.set === 'break') return NT_ARM_HW_BREAK;
  if (keys.set === 'watch') return NT_ARM_HW_WATCH;
  const number = toInteger(keys.set);
  if (number === undefined) throw new StepError('"set" is "break", "watch" or a number');
  return Number(BigInt.asUintN(32, number));
}

function lengthOf(context: StepContext, keys: StepKeys, fallback: number): number {
  const length = context.number(keys, 'len', fallback);
  if (!(length >= 0 && length <= lengthBytesMax))
    throw new StepError(`"len" is 0 to ${lengthBytesMax}, not ${String(keys.len)}`);
  return length;
}

function entriesOf(context: StepContext, keys: StepKeys): readonly HwdebugEntry[] {
  const { entries = [] } = keys;
  if (!Array.isArray(entries)) throw new StepError('"entries" is a list of {addr, ctrl}');
  return entries.map((entry: unknown): HwdebugEntry => {
    const { addr, ctrl } = (typeof entry === 'object' && entry !== null ? entry : {}) as StepKeys; // any object has keys
    const control = toInteger(ctrl ?? 0);
    const address =
      toInteger(addr) ?? (typeof addr === 'string' ? resolveAddress(context.lab, addr) : undefined);
    if (control === undefined || address === undefined)
      throw new StepError('an entry of "entries" has "addr", an address, and "ctrl", a number');
    return { addr: address, ctrl: Number(BigInt.asUintN(32, control)) };
  });
}
