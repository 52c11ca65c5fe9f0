import { highWord, lowWord } from '../../base/pair.ts';
import type { Operation } from './operation.ts';
import type { SimCpu } from './sim-cpu.ts';
import type { SimTask } from './sim-task.ts';

/** An operation that is one instruction. */
type Instruction = Extract<Operation, { type: 'load' | 'store' | 'rmw' | 'execute' | 'icebp' | 'int3' }>;
type KernelStore = Extract<Operation, { type: 'kernelStore' }>;

const defaultInstructionBytes = 4;
/** Where the copy loop of the simulated kernel stands. */
export const kernelCopyIp: bigint = 0xffff_ffff_8140_0000n;

/** Executes operations that are instructions: breakpoint check, effect on memory, traps. */
export class InstructionUnit {
  /** One instruction of `task` on `cpu`. Gives the loaded number; 0n where nothing is loaded. */
  execute(cpu: SimCpu, task: SimTask, instruction: Instruction): bigint {
    if (instruction.ip !== undefined) {
      task.ipLow = lowWord(instruction.ip);
      task.ipHigh = highWord(instruction.ip);
    }
    if (!cpu.beforeInstruction(task) || !task.alive) return 0n;
    if ('at' in instruction && !this.#beforeAccess(cpu, task, instruction)) return 0n;
    const lenBytes =
      instruction.ipBytes ??
      (instruction.type === 'icebp' || instruction.type === 'int3' ? 1 : defaultInstructionBytes);
    const next = task.ipLow + lenBytes;
    if (next > 0xffff_ffff) task.ipHigh = (task.ipHigh + 1) >>> 0;
    task.ipLow = next >>> 0;
    let result = 0n;
    let bits = 0;
    switch (instruction.type) {
      case 'load':
        result = task.memory.readNumber(instruction.at, instruction.lenBytes);
        bits = cpu.dataBits(lowWord(instruction.at), highWord(instruction.at), instruction.lenBytes, false);
        break;
      case 'store':
        task.memory.writeNumber(instruction.at, instruction.lenBytes, instruction.value ?? 0n);
        bits = cpu.dataBits(lowWord(instruction.at), highWord(instruction.at), instruction.lenBytes, true);
        break;
      case 'rmw':
        result = task.memory.readNumber(instruction.at, instruction.lenBytes);
        task.memory.writeNumber(instruction.at, instruction.lenBytes, result + (instruction.value ?? 1n));
        bits = cpu.dataBits(lowWord(instruction.at), highWord(instruction.at), instruction.lenBytes, true);
        break;
      case 'execute':
        if (instruction.to !== undefined) {
          task.ipLow = lowWord(instruction.to);
          task.ipHigh = highWord(instruction.to);
        }
        break;
      case 'icebp':
      case 'int3':
        cpu.trapInstruction(task, instruction.type);
        return 0n;
    }
    cpu.afterInstruction(task, bits);
    return result;
  }

  #beforeAccess(cpu: SimCpu, task: SimTask, access: Extract<Instruction, { readonly at: bigint }>): boolean {
    const { at, lenBytes, type } = access;
    return cpu.beforeAccess(task, { low: lowWord(at), high: highWord(at), lenBytes }, type);
  }

  /** The kernel copies bytes into the task's memory, some at a time. */
  kernelStore(cpu: SimCpu, task: SimTask, operation: KernelStore): void {
    const unit = operation.unitBytes ?? 1;
    for (let done = 0; done < operation.bytes.length; done += unit) {
      const at = operation.at + BigInt(done);
      const part = operation.bytes.subarray(done, done + unit);
      task.memory.write(at, part);
      cpu.kernelAccess(lowWord(at), highWord(at), part.length, {
        store: true,
        ip: kernelCopyIp,
        copy: { left: operation.bytes.length - done - part.length, next: at + BigInt(part.length) },
      });
    }
  }
}
