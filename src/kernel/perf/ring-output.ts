import type { TrapFrame } from '../../arch/trap-frame.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_SAMPLE_ADDR,
  PERF_SAMPLE_AUX,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_CGROUP,
  PERF_SAMPLE_CODE_PAGE_SIZE,
  PERF_SAMPLE_CPU,
  PERF_SAMPLE_DATA_PAGE_SIZE,
  PERF_SAMPLE_DATA_SRC,
  PERF_SAMPLE_ID,
  PERF_SAMPLE_IDENTIFIER,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_PERIOD,
  PERF_SAMPLE_PHYS_ADDR,
  PERF_SAMPLE_RAW,
  PERF_SAMPLE_READ,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_REGS_USER,
  PERF_SAMPLE_STACK_USER,
  PERF_SAMPLE_STREAM_ID,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_TIME,
  PERF_SAMPLE_TRANSACTION,
  PERF_SAMPLE_WEIGHT,
  PERF_SAMPLE_WEIGHT_STRUCT,
} from '../../uapi/perf-event-attr.ts';
import {
  PERF_CONTEXT_KERNEL_LOW,
  PERF_CONTEXT_USER_LOW,
  PERF_EVENT_HEADER_BYTES,
  PERF_RECORD_LOST,
  PERF_RECORD_MISC_KERNEL,
  PERF_RECORD_MISC_USER,
  PERF_RECORD_SAMPLE,
} from '../../uapi/perf-event-ring.ts';
import type { PerfEvent } from './perf-event.ts';
import type { RingBuffer } from './ring-buffer.ts';
import { readValuesBytes, type SampleFormat, sampleFormatOf, samplesRead } from './sample-format.ts';
import type { Scheduler } from './scheduler.ts';

/** Bytes of a LOST record without its trailer: header, id u64, lost u64. */
const lostBytes = 24;
/** PERF_SAMPLE_REGS_ABI_64. */
const abi64 = 2;
/** PERF_MEM_NA in every field of `data_src`: nothing is known of how memory was reached. */
const dataSourceLow = 0x0508_0021;
const dataSourceHigh = 0x0000_001e;
/** All memory of the machine has pages of this size. */
const pageBytes = 4096;
/** Id of the root of the control groups; there are no others. */
const rootCgroup = 1;
/** Numbers of registers that a frame knows. */
const noRegisters = new Uint32Array(0);

/** What the writer of records asks of the kernel around it. */
export interface RingOutputHost {
  readonly machine: Machine;
  readonly scheduler: Scheduler;
  /** The ring of `event` has news for those who wait. */
  wake(event: PerfEvent): void;
}

/**
 * Writes records into rings. Of an inherited copy they go to the ring of the event that was opened.
 * docs/spec/03 sections 12 and 13.
 */
export class RingOutput {
  readonly #host: RingOutputHost;

  constructor(host: RingOutputHost) {
    this.#host = host;
  }

  /**
   * Opens a record of `sizeBytes` with its header, after a LOST record if records were lost before. null: there is no
   * ring, or no room.
   */
  begin(event: PerfEvent, type: number, misc: number, sizeBytes: number): RingBuffer | null {
    const { top } = event;
    const { ring } = top;
    if (ring === null) return null;
    if (ring.paused) {
      if (ring.dataPages > 0) lose(ring, top);
      return null;
    }
    const { lost } = ring;
    const before = lost === 0 ? 0 : lostBytes + formatOf(top).trailerBytes;
    if (!ring.reserve(sizeBytes + before)) {
      lose(ring, top);
      return null;
    }
    if (lost > 0) {
      ring.lost = 0;
      ring.word(PERF_RECORD_LOST);
      ring.word(before << 16);
      ring.integer(top.id);
      ring.integer(lost);
      this.trailer(ring, top);
    }
    ring.word(type);
    ring.word((sizeBytes << 16) | misc);
    return ring;
  }

  /** Ends what {@link begin} opened. */
  end(event: PerfEvent, ring: RingBuffer): void {
    if (ring.publish()) {
      ring.onWakeup?.();
      this.#host.wake(event);
    }
  }

  /** What `sample_id_all` puts behind a record: who, when, where. */
  trailer(ring: RingBuffer, event: PerfEvent): void {
    const { sampleType, trailerBytes } = formatOf(event);
    if (trailerBytes === 0) return;
    const { machine } = this.#host;
    if ((sampleType & PERF_SAMPLE_TID) !== 0) writeTid(ring, machine.currentCpu.current);
    if ((sampleType & PERF_SAMPLE_TIME) !== 0) ring.integer(machine.nowNs());
    if ((sampleType & PERF_SAMPLE_ID) !== 0) ring.integer(event.top.id);
    if ((sampleType & PERF_SAMPLE_STREAM_ID) !== 0) ring.integer(event.id);
    if ((sampleType & PERF_SAMPLE_CPU) !== 0) ring.pair(machine.currentCpu.number, 0);
    if ((sampleType & PERF_SAMPLE_IDENTIFIER) !== 0) ring.integer(event.top.id);
  }

  /** The default overflow handler. */
  writeSample(event: PerfEvent, frame: TrapFrame): void {
    if (event.top.ring === null) return;
    const format = formatOf(event);
    const { sampleType } = format;
    const { machine } = this.#host;
    const task = machine.currentCpu.current;
    const userFrame = userFrameOf(machine, task, frame, format);
    const user = userFrame?.registers ?? noRegisters;
    const interrupted = frame.registers ?? noRegisters;
    let size = format.fixedBytes;
    const chained = (sampleType & PERF_SAMPLE_CALLCHAIN) !== 0;
    const chainModes = chained ? modesOf(format, frame, userFrame) : 0;
    if (chained) size += 8 + chainModeBytes * modeCount(chainModes);
    if (user.length > 0) size += 8 * format.userRegisters.length;
    if (interrupted.length > 0) size += 8 * format.interruptedRegisters.length;
    if (samplesRead(format)) size += readValuesBytes(format.readFormat, groupSize(event));
    const misc = frame.userMode ? PERF_RECORD_MISC_USER : PERF_RECORD_MISC_KERNEL;
    const ring = this.begin(event, PERF_RECORD_SAMPLE, misc, size);
    if (ring === null) return;
    if ((sampleType & PERF_SAMPLE_IDENTIFIER) !== 0) ring.integer(event.top.id);
    if ((sampleType & PERF_SAMPLE_IP) !== 0) ring.pair(frame.ipLow, frame.ipHigh);
    if ((sampleType & PERF_SAMPLE_TID) !== 0) writeTid(ring, task);
    if ((sampleType & PERF_SAMPLE_TIME) !== 0) ring.integer(machine.nowNs());
    if ((sampleType & PERF_SAMPLE_ADDR) !== 0) writeAddress(ring, event);
    if ((sampleType & PERF_SAMPLE_ID) !== 0) ring.integer(event.top.id);
    if ((sampleType & PERF_SAMPLE_STREAM_ID) !== 0) ring.integer(event.id);
    if ((sampleType & PERF_SAMPLE_CPU) !== 0) ring.pair(machine.currentCpu.number, 0);
    if ((sampleType & PERF_SAMPLE_PERIOD) !== 0) ring.integer(event.sampledPeriod);
    if (sampleType >= PERF_SAMPLE_READ) {
      if (samplesRead(format)) this.writeValues(ring, event);
      if (chained) writeChain(ring, chainModes, frame, userFrame);
      writeRare(ring, event, format, { user, interrupted });
    }
    ring.countSample(format.wakeupEvents);
    this.end(event, ring);
  }

  /** The values of an event, or of its group, as a READ field and a READ record have them. */
  writeValues(ring: RingBuffer, event: PerfEvent): void {
    const { readFormat } = formatOf(event);
    const { scheduler } = this.#host;
    const one = (member: PerfEvent): void => {
      ring.integer(member.count + member.childCount);
    };
    const times = (): void => {
      scheduler.updateTime(event);
      if ((readFormat & PERF_FORMAT_TOTAL_TIME_ENABLED) !== 0)
        ring.integer(event.enabledNs + event.childEnabledNs);
      if ((readFormat & PERF_FORMAT_TOTAL_TIME_RUNNING) !== 0)
        ring.integer(event.runningNs + event.childRunningNs);
    };
    const rest = (member: PerfEvent): void => {
      if ((readFormat & PERF_FORMAT_ID) !== 0) ring.integer(member.top.id);
      if ((readFormat & PERF_FORMAT_LOST) !== 0) ring.integer(member.lost);
    };
    if ((readFormat & PERF_FORMAT_GROUP) === 0) {
      one(event);
      times();
      rest(event);
      return;
    }
    ring.integer(groupSize(event));
    times();
    event.leader.forGroup((member) => {
      one(member);
      rest(member);
    });
  }
}

/** The format of the records of `event`. */
export function formatOf(event: PerfEvent): SampleFormat {
  event.sampleFormat ??= sampleFormatOf(event.attr);
  return event.sampleFormat;
}

/** Header and trailer of a record of `event` that is no sample, without what is between. */
export function framingBytes(event: PerfEvent): number {
  return PERF_EVENT_HEADER_BYTES + formatOf(event).trailerBytes;
}

function lose(ring: RingBuffer, top: PerfEvent): void {
  ring.lost++;
  top.lost++;
}

function groupSize(event: PerfEvent): number {
  return 1 + (event.leader.siblings?.length ?? 0);
}

function writeTid(ring: RingBuffer, task: Task | null): void {
  if (task === null) ring.pair(0, 0);
  else ring.pair(task.pid, task.tid);
}

function writeAddress(ring: RingBuffer, event: PerfEvent): void {
  const { bpAddr = 0n } = event.attr;
  if (event.sampledAddress !== bpAddr) {
    event.sampledAddress = bpAddr;
    event.sampledAddressLow = lowWord(bpAddr);
    event.sampledAddressHigh = highWord(bpAddr);
  }
  ring.pair(event.sampledAddressLow, event.sampledAddressHigh);
}

/** The user code behind an exception, if its registers or its call chain are sampled; null where there is none. */
function userFrameOf(
  machine: Machine,
  task: Task | null,
  frame: TrapFrame,
  format: SampleFormat,
): TrapFrame | null {
  if ((format.sampleType & (PERF_SAMPLE_REGS_USER | PERF_SAMPLE_CALLCHAIN)) === 0 || task === null)
    return null;
  return frame.userMode ? frame : machine.userFrame(task);
}

/** Modes that a call chain tells of. */
const chainOfKernel = 1;
const chainOfUser = 2;
/** A mark and an address: the machine's code keeps no frame pointers to follow. */
const chainModeBytes = 16;

/** The modes of the call chain at a hit, as bits. */
function modesOf(format: SampleFormat, frame: TrapFrame, user: TrapFrame | null): number {
  const kernel = format.chainKernel && !frame.userMode ? chainOfKernel : 0;
  return kernel | (format.chainUser && user !== null ? chainOfUser : 0);
}

function modeCount(modes: number): number {
  return (modes & chainOfKernel) + ((modes & chainOfUser) >> 1);
}

function writeChain(ring: RingBuffer, modes: number, frame: TrapFrame, user: TrapFrame | null): void {
  ring.integer(2 * modeCount(modes));
  if ((modes & chainOfKernel) !== 0) {
    ring.pair(PERF_CONTEXT_KERNEL_LOW, 0xffff_ffff);
    ring.pair(frame.ipLow, frame.ipHigh);
  }
  if ((modes & chainOfUser) !== 0) {
    ring.pair(PERF_CONTEXT_USER_LOW, 0xffff_ffff);
    ring.pair(user?.ipLow ?? 0, user?.ipHigh ?? 0);
  }
}

/** The fields of a sample behind the call chain. */
function writeRare(
  ring: RingBuffer,
  event: PerfEvent,
  { sampleType, userRegisters, interruptedRegisters }: SampleFormat,
  { user, interrupted }: { readonly user: Uint32Array; readonly interrupted: Uint32Array },
): void {
  if ((sampleType & PERF_SAMPLE_RAW) !== 0) ring.pair(4, 0);
  if ((sampleType & PERF_SAMPLE_REGS_USER) !== 0) writeRegisters(ring, user, userRegisters);
  // A task of this machine has no stack.
  if ((sampleType & PERF_SAMPLE_STACK_USER) !== 0) ring.integer(0);
  if ((sampleType & (PERF_SAMPLE_WEIGHT | PERF_SAMPLE_WEIGHT_STRUCT)) !== 0) ring.integer(0);
  if ((sampleType & PERF_SAMPLE_DATA_SRC) !== 0) ring.pair(dataSourceLow, dataSourceHigh);
  if ((sampleType & PERF_SAMPLE_TRANSACTION) !== 0) ring.integer(0);
  if ((sampleType & PERF_SAMPLE_REGS_INTR) !== 0) writeRegisters(ring, interrupted, interruptedRegisters);
  // Memory is where its addresses say.
  if ((sampleType & PERF_SAMPLE_PHYS_ADDR) !== 0) writeAddress(ring, event);
  if ((sampleType & PERF_SAMPLE_CGROUP) !== 0) ring.integer(rootCgroup);
  if ((sampleType & PERF_SAMPLE_DATA_PAGE_SIZE) !== 0) ring.integer(pageBytes);
  if ((sampleType & PERF_SAMPLE_CODE_PAGE_SIZE) !== 0) ring.integer(pageBytes);
  if ((sampleType & PERF_SAMPLE_AUX) !== 0) ring.integer(0);
}

function writeRegisters(ring: RingBuffer, registers: Uint32Array, numbers: readonly number[]): void {
  ring.integer(registers.length === 0 ? 0 : abi64);
  if (registers.length === 0) return;
  for (const n of numbers) ring.pair(registers[2 * n] ?? 0, registers[2 * n + 1] ?? 0);
}
