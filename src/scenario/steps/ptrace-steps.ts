import { X86_64_USER_DEBUGREG_OFFSET } from '../../uapi/ptrace.ts';
import { toInteger } from '../integer.ts';
import type { LabPtrace, LabUserWord } from '../lab.ts';
import { nameAddress, resolveAddress, StepError } from '../values.ts';
import { regsetSteps } from './regset-steps.ts';
import {
  after,
  done,
  type StepContext,
  type StepHandlers,
  type StepKeys,
  traceable,
} from './step-context.ts';

/** `u_debugreg` for 32-bit callers, and the bytes of the general registers before it. docs/spec/04 section 7. */
const compatDebugRegisterOffset = 252;
const generalRegisterBytes = 216;
const compatGeneralRegisterBytes = 68;
/** Registers that hold addresses. */
const addressRegisters = 4;

/** Steps of a tracer: ptrace(2) by the runner. docs/spec/09 "Steps". */
export function ptraceSteps(context: StepContext, ptrace: LabPtrace): StepHandlers {
  const resume = (step: boolean) => (keys: StepKeys) => {
    const task = traceable(keys);
    return after(ptrace.resume(task, { step }), (outcome) => context.acted(task, outcome));
  };
  return {
    attach: (keys) =>
      after(ptrace.attach(traceable(keys), { followFork: keys.followFork === true }), () => done),
    detach: (keys) => {
      const task = traceable(keys);
      return after(ptrace.detach(task), (outcome) => context.acted(task, outcome));
    },
    cont: resume(false),
    singlestep: resume(true),
    ...(ptrace.readRegset === undefined || ptrace.writeRegset === undefined
      ? {}
      : regsetSteps(context, {
          read: ptrace.readRegset.bind(ptrace),
          write: ptrace.writeRegset.bind(ptrace),
        })),
    pokeuser: (keys) => {
      const { value } = keys;
      const integer = toInteger(value) ?? resolveAddress(context.lab, String(value));
      return after(
        ptrace.poke(traceable(keys), userWord(context, keys), BigInt.asUintN(64, integer)),
        () => done,
      );
    },
    peekuser: (keys) => {
      const register = toInteger(keys.debugreg);
      return after(ptrace.peek(traceable(keys), userWord(context, keys)), (value) => {
        const named = register !== undefined && register < addressRegisters;
        const text = named ? nameAddress(context.lab, context.tasks, value) : '0x';
        return { errno: 0, value: text.startsWith('0x') ? value : text };
      });
    },
  };
}

/** The word of the user area that a step means. */
function userWord(context: StepContext, keys: StepKeys): LabUserWord {
  const compat = keys.compat === true;
  const offset = toInteger(keys.offset);
  if ((offset === undefined) === (keys.debugreg === undefined))
    throw new StepError('either "debugreg" or "offset" is given');
  if (offset === undefined) {
    const n = context.number(keys, 'debugreg', 0);
    if (!(n >= 0 && n <= 7)) throw new StepError(`"debugreg" is 0 to 7, not ${String(keys.debugreg)}`);
    return {
      offset: BigInt(compat ? compatDebugRegisterOffset + 4 * n : X86_64_USER_DEBUGREG_OFFSET + 8 * n),
      compat,
    };
  }
  const general = compat ? compatGeneralRegisterBytes : generalRegisterBytes;
  if (offset >= 0n && offset < general && offset % (compat ? 4n : 8n) === 0n)
    throw new StepError(`"offset" ${offset} is a general register, which differs from kernel to kernel`);
  return { offset: BigInt.asUintN(64, offset), compat };
}
