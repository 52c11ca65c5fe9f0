import { encodeUtf8 } from '../../base/text.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import type { PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import {
  PERF_RECORD_COMM,
  PERF_RECORD_EXIT,
  PERF_RECORD_FORK,
  PERF_RECORD_MISC_COMM_EXEC,
  PERF_RECORD_READ,
  PERF_RECORD_THROTTLE,
  PERF_RECORD_UNTHROTTLE,
} from '../../uapi/perf-event-ring.ts';
import { type EventContext, findTaskContext } from './event-context.ts';
import { eventStates } from './event-state.ts';
import type { PerfEvent } from './perf-event.ts';
import type { RingBuffer } from './ring-buffer.ts';
import { formatOf, framingBytes, type RingOutput } from './ring-output.ts';
import { readValuesBytes } from './sample-format.ts';

/** Bytes of a task's name in a COMM record at most, with its NUL. */
const commBytes = 16;

/** Records about tasks and about events themselves: everything in a ring but SAMPLE and LOST. docs/spec/03 section 13. */
export class SideRecords {
  readonly #output: RingOutput;
  readonly #machine: Machine;
  readonly #cpuContext: (cpu: number) => EventContext;

  /** `cpuContext` gives the context of a CPU's own events. */
  constructor(output: RingOutput, machine: Machine, cpuContext: (cpu: number) => EventContext) {
    this.#output = output;
    this.#machine = machine;
    this.#cpuContext = cpuContext;
  }

  /** A THROTTLE or an UNTHROTTLE record: time u64, id u64, stream_id u64. */
  throttled(event: PerfEvent, on: boolean): void {
    const type = on ? PERF_RECORD_THROTTLE : PERF_RECORD_UNTHROTTLE;
    this.#write(event, type, { misc: 0, bytes: 24 }, (ring) => {
      ring.integer(this.#machine.nowNs());
      ring.integer(event.top.id);
      ring.integer(event.id);
    });
  }

  /** A FORK record, to the events of the parent that ask for tasks. */
  forked(parent: Task, child: Task): void {
    this.#tell(parent, wantsTasks, (event) => this.#task(event, PERF_RECORD_FORK, child, parent));
  }

  /** An EXIT record, to the events of the task that ask for tasks. `parent` is the process that it came from. */
  exited(task: Task): void {
    this.#tell(task, wantsTasks, (event) => this.#task(event, PERF_RECORD_EXIT, task, null));
  }

  /** pid, ppid, tid, ptid u32 each, time u64. */
  #task(event: PerfEvent, type: number, task: Task, parent: Task | null): void {
    this.#write(event, type, { misc: 0, bytes: 24 }, (ring) => {
      ring.pair(task.pid, parent?.pid ?? task.parentPid);
      ring.pair(task.tid, parent?.tid ?? task.parentPid);
      ring.integer(this.#machine.nowNs());
    });
  }

  /** A COMM record: pid, tid u32, the name padded to 8 bytes. */
  named(task: Task, exec: boolean): void {
    const name = encodeUtf8(task.name).subarray(0, commBytes - 1);
    const bytes = new Uint8Array((name.length + 8) & ~7);
    bytes.set(name);
    const words = new Uint32Array(bytes.buffer);
    this.#tell(
      task,
      (attr) => attr.comm === true,
      (event) => {
        const misc = exec ? PERF_RECORD_MISC_COMM_EXEC : 0;
        this.#write(event, PERF_RECORD_COMM, { misc, bytes: 8 + bytes.length }, (ring) => {
          ring.pair(task.pid, task.tid);
          for (const word of words) ring.word(word);
        });
      },
    );
  }

  /** A READ record: pid, tid u32, then values as read(2) has them; of a copy whose task ends (`inherit_stat`). */
  counted(event: PerfEvent, task: Task): void {
    const members = 1 + (event.leader.siblings?.length ?? 0);
    const bytes = 8 + readValuesBytes(formatOf(event).readFormat, members);
    this.#write(event, PERF_RECORD_READ, { misc: 0, bytes }, (ring) => {
      ring.pair(task.pid, task.tid);
      this.#output.writeValues(ring, event);
    });
  }

  /** Calls `write` for the enabled events of the CPU and of `task` that want it, the newest first. */
  #tell(task: Task, wants: (attr: PerfEventAttr) => boolean, write: (event: PerfEvent) => void): void {
    const cpu = this.#machine.currentCpu.number;
    for (const context of [this.#cpuContext(cpu), findTaskContext(task)]) {
      if (context === null || context.empty) continue;
      const events = context
        .events()
        .filter(
          (event) =>
            wants(event.attr) &&
            event.state >= eventStates.inactive &&
            (event.cpu === -1 || event.cpu === cpu),
        );
      for (const event of events.sort((a, b) => b.id - a.id)) write(event);
    }
  }

  #write(
    event: PerfEvent,
    type: number,
    { misc, bytes }: { readonly misc: number; readonly bytes: number },
    body: (ring: RingBuffer) => void,
  ): void {
    const ring = this.#output.begin(event, type, misc, framingBytes(event) + bytes);
    if (ring === null) return;
    body(ring);
    this.#output.trailer(ring, event);
    this.#output.end(event, ring);
  }
}

function wantsTasks(attr: PerfEventAttr): boolean {
  return (
    attr.task === true ||
    attr.comm === true ||
    attr.mmap === true ||
    attr.mmap2 === true ||
    attr.mmapData === true
  );
}
