import { SeededRandom } from '../../base/random.ts';
import type { SimCpu } from './sim-cpu.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimTask } from './sim-task.ts';

/** The longest slice, in operations. */
const sliceOperationsMax = 64;

/** Lets the programs of a machine's tasks take turns. */
export class ProgramScheduler {
  readonly #machine: SimMachine;
  readonly #random: SeededRandom;

  /** @param seed decides the length of each slice. */
  constructor(machine: SimMachine, seed: number) {
    this.#machine = machine;
    this.#random = new SeededRandom(seed);
  }

  /** Slices in turn, CPU by CPU, until no program is left or virtual time has come to `untilNs`. */
  run(untilNs: number): boolean {
    const { cpus } = this.#machine;
    const lastTids = cpus.map(() => 0);
    let progress = false;
    for (;;) {
      let ran = false;
      for (const cpu of cpus) {
        if (!cpu.online || this.#machine.nowNs() >= untilNs) continue;
        const task = this.#next(cpu, lastTids[cpu.number] ?? 0);
        if (task === undefined) continue;
        lastTids[cpu.number] = task.tid;
        ran = true;
        this.#slice(task, 1 + this.#random.below(sliceOperationsMax), untilNs);
      }
      if (!ran) return progress;
      progress = true;
    }
  }

  /** The runnable task of a CPU with the next higher tid, from the lowest again after the highest. */
  #next(cpu: SimCpu, afterTid: number): SimTask | undefined {
    let first: SimTask | undefined;
    for (const task of this.#machine.tasks()) {
      if (task.home !== cpu || !task.runnable) continue;
      if (task.tid > afterTid) return task;
      first ??= task;
    }
    return first;
  }

  #slice(task: SimTask, operations: number, untilNs: number): void {
    const machine = this.#machine;
    for (let i = 0; i < operations && task.alive && machine.nowNs() < untilNs; i++) {
      if (task.replay !== undefined) {
        machine.advanceReplay(task);
        continue;
      }
      const next = task.steps?.next(task.lastResult);
      if (next === undefined || next.done === true) {
        task.steps = undefined;
        return;
      }
      const operation = next.value;
      if (operation.type === 'replay') task.startReplay(operation);
      else task.lastResult = machine.perform(task, operation);
      if (operation.type === 'yield') return;
    }
  }
}
