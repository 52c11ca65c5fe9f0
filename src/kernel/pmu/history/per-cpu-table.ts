import { assert } from '../../../base/assert.ts';
import { errnoValues } from '../../../base/errno.ts';
import type { Admission } from '../admission.ts';
import type { SlotRequest } from '../constraint-table.ts';

/**
 * Admission two days after the rewrite: counts by CPU, but a task's request is held against the greediest task of the
 * machine instead of the task's own count, so that one thread with four breakpoints keeps all others from having any.
 * docs/spec/02 section 4.6, items 2 and 3.
 */
export class PerCpuTable implements Admission {
  readonly pools = 1;
  readonly #slots: number;
  readonly #cpus: number;
  readonly #held: SlotRequest[] = [];

  constructor(options: { readonly slots: number; readonly possibleCpus: number }) {
    this.#slots = options.slots;
    this.#cpus = options.possibleCpus;
  }

  reserve(request: SlotRequest): number {
    for (let cpu = 0; cpu < this.#cpus; cpu++)
      if ((request.cpu < 0 || request.cpu === cpu) && this.#used(cpu) >= this.#slots)
        return errnoValues.ENOSPC;
    const { slotPool, cpu, taskSlots } = request;
    this.#held.push({ slotPool, cpu, taskSlots });
    return 0;
  }

  #used(cpu: number): number {
    let pinned = 0;
    const byTask = new Map<object, number>();
    for (const { cpu: on, taskSlots } of this.#held) {
      if (on >= 0 && on !== cpu) continue;
      if (taskSlots === null) pinned++;
      else byTask.set(taskSlots, (byTask.get(taskSlots) ?? 0) + 1);
    }
    return pinned + Math.max(0, ...byTask.values());
  }

  release(request: SlotRequest): void {
    const index = this.#held.findIndex(
      ({ cpu, taskSlots }) => cpu === request.cpu && taskSlots === request.taskSlots,
    );
    assert(index >= 0, 'only what was reserved is released');
    this.#held.splice(index, 1);
  }

  move(): number {
    return 0;
  }

  dbgReserve(request: SlotRequest): number {
    return this.reserve(request);
  }

  dbgRelease(request: SlotRequest): number {
    this.release(request);
    return 0;
  }

  isUsed(): boolean {
    return this.#held.length > 0;
  }

  snapshot(): string {
    return this.#held.map(({ cpu, taskSlots }) => `${cpu}${taskSlots === null ? '' : ' task'}`).join(', ');
  }
}
