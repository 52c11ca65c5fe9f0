import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { hex } from '../../base/hex.ts';
import { isKernelError, KernelError } from '../../base/kernel-error.ts';
import { RawRing } from '../../ring/raw-ring.ts';
import {
  decodeRecord,
  identifierOf,
  type RecordField,
  type RecordFields,
  type RingRecord,
} from '../../ring/record-decoder.ts';
import type { MappedRing } from '../../surface/perf-calls.ts';
import {
  PERF_REG_X86_IP,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_STACK_USER,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import { PERF_EVENT_IOC_ID } from '../../uapi/perf-event-ioctl.ts';
import * as ringConstants from '../../uapi/perf-event-ring.ts';
import { toInteger } from '../integer.ts';
import { nameAddress } from '../values.ts';
import { done, pointerTo, type StepContext, type StepHandlers, type StepResult } from './step-context.ts';

interface OpenRing {
  readonly mapped: MappedRing;
  readonly raw: RawRing;
  readonly attr: PerfEventAttr;
  /** Records before this were drained; where nobody stores a tail, this is remembered here alone. */
  readTo: bigint;
  readonly readOnly: boolean;
}

const pagesDefault = 8;
/** Fields whose length is no matter of the kernel. */
const unevenFields = PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_STACK_USER;
/** Addresses with this bit are the kernel's. */
const kernelBit = 1n << 63n;
/** Marks of a context in a call chain are at and above this. */
const contextMarks = (1n << 64n) - 4095n;
const contextNames: Readonly<Record<string, string>> = {
  [String((1n << 64n) - 128n)]: 'kernel',
  [String((1n << 64n) - 512n)]: 'user',
};
const recordNames: ReadonlyMap<number, string> = new Map(
  Object.entries(ringConstants).flatMap(([name, value]) =>
    name.startsWith('PERF_RECORD_') && !name.includes('_MISC_') && typeof value === 'number'
      ? [[value, name.slice('PERF_RECORD_'.length)] as const]
      : [],
  ),
);

/** Steps of rings: mapping them, and looking at their records. docs/spec/09 "Steps". */
export function ringSteps(context: StepContext): StepHandlers {
  const rings = new Rings(context);
  return {
    mmap: (keys) =>
      rings.map(String(keys.event), {
        dataPages: context.number(keys, 'pages', pagesDefault),
        readOnly: keys.readOnly === true,
        private: keys.private === true,
      }),
    munmap: (keys) => rings.unmap(String(keys.event)),
    setTail: (keys) => {
      const { raw, readOnly } = rings.of(String(keys.event));
      if (readOnly) throw refusal('EFAULT', 'a ring that is mapped read-only takes no tail');
      raw.tail = BigInt.asUintN(64, toInteger(keys.value) ?? 0n);
      return done;
    },
    records: (keys) => rings.records(String(keys.event), { keep: keys.keep === true }),
  };
}

function refusal(code: ErrnoName, operation: string): KernelError {
  return new KernelError({ errno: errnoValues[code], operation });
}

/** The rings of one scenario, and the names that their records' ids stand for. */
class Rings {
  readonly #context: StepContext;
  readonly #rings: Map<string, OpenRing> = new Map();
  readonly #names: Map<bigint, { readonly name: string; readonly attr: PerfEventAttr | undefined }> =
    new Map();

  constructor(context: StepContext) {
    this.#context = context;
  }

  of(name: string): OpenRing {
    const ring = this.#rings.get(name);
    if (ring === undefined) throw refusal('EINVAL', `"${name}" has no ring that a step mapped`);
    return ring;
  }

  map(
    name: string,
    call: { readonly dataPages: number; readonly readOnly: boolean; readonly private: boolean },
  ): StepResult {
    const { lab, events } = this.#context;
    this.#learnNames();
    const mapped = lab.calls.mmap(this.#context.fd(name), call);
    // A further mapping of an event shows the same memory: the first is the one that steps look at.
    if (this.#rings.has(name)) {
      lab.calls.munmap(mapped);
      return done;
    }
    const raw = new RawRing(mapped.memory, mapped.pageBytes);
    const attr = events.get(name)?.attr ?? { type: 0 };
    this.#rings.set(name, { mapped, raw, attr, readTo: 0n, readOnly: call.readOnly });
    return { errno: 0, ...raw.description };
  }

  unmap(name: string): StepResult {
    const { mapped } = this.of(name);
    this.#rings.delete(name);
    this.#context.lab.calls.munmap(mapped);
    return done;
  }

  records(name: string, options: { readonly keep: boolean }): StepResult {
    this.#learnNames();
    const ring = this.of(name);
    const { raw } = ring;
    const { head } = raw;
    const size = BigInt(raw.description.dataSize);
    const backward = ring.attr.writeBackward === true;
    const from = ring.readTo;
    let bytes: Uint8Array[];
    // The newest record of a ring that is written backwards comes first; its oldest may be cut.
    if (backward) bytes = raw.records(head, from === 0n ? 1n << 64n : from);
    else if (head - from > size) bytes = [];
    else bytes = raw.records(from, head);
    if (backward && head !== 0n && (1n << 64n) - head > size) bytes = raw.records(head, head + size);
    if (!options.keep) {
      ring.readTo = head;
      if (!ring.readOnly) raw.tail = head;
    }
    const records = bytes.map((each) => this.#decode(each, ring.attr));
    return {
      errno: 0,
      head: ((ring.attr.sampleType ?? 0) & unevenFields) === 0 ? BigInt.asIntN(64, head) : 'told',
      records: records.map((record) => this.#told(record)),
      ordered: timesAscend(records),
    };
  }

  /** Asks for the ids of the events that are open, so that records of closed ones keep their names. */
  #learnNames(): void {
    const { lab, events } = this.#context;
    for (const [name, { fd, attr }] of events) {
      const bytes = pointerTo(0n);
      try {
        lab.calls.ioctl(fd, PERF_EVENT_IOC_ID, bytes);
      } catch (error) {
        if (isKernelError(error)) continue;
        throw error;
      }
      this.#names.set(new DataView(bytes.buffer).getBigUint64(0, true), { name, attr });
    }
  }

  #decode(bytes: Uint8Array, attr: PerfEventAttr): RingRecord {
    const id = identifierOf(bytes, attr);
    return decodeRecord(bytes, (id === undefined ? undefined : this.#names.get(id)?.attr) ?? attr);
  }

  /** A record as results have it: what differs from kernel to kernel is told by name, or not at all. */
  #told({ type, misc, sizeBytes, fields }: RingRecord): StepResult {
    // How deep a stack is, and how much of it there is, is a matter of the code.
    const size = 'callchain' in fields || 'stackBytes' in fields ? 'told' : sizeBytes;
    const told: Record<string, unknown> = { type: recordNames.get(type) ?? type, size, misc };
    for (const [key, value] of Object.entries(fields)) told[key] = this.#field(key, value);
    return told;
  }

  #field(key: string, value: RecordField): unknown {
    switch (key) {
      case 'identifier':
      case 'id':
      case 'lostId':
      case 'ofId':
        return this.#names.get(BigInt(value as bigint))?.name ?? 'unknown'; // ids are u64
      case 'streamId':
      case 'ofStreamId':
        return this.#names.get(BigInt(value as bigint))?.name ?? 'a copy'; // likewise
      case 'pid':
      case 'tid':
      case 'ofPid':
      case 'ofTid':
      case 'parentPid':
      case 'parentTid':
        return this.#context.tidName(Number(value));
      case 'time':
      case 'at':
        return 'told';
      case 'ip':
        return this.#code(value as bigint); // an address is a u64
      case 'addr':
        return nameAddress(this.#context.lab, this.#context.tasks, value as bigint); // likewise
      case 'cpu':
        return this.#context.lab.cpuName?.(Number(value)) ?? value;
      case 'cgroup':
      case 'physAddr':
      case 'comm':
      case 'codePageSize':
        return 'told';
      case 'stackBytes':
      case 'stackCopied':
        return undefined;
      case 'callchain':
        return this.#chain(value as readonly bigint[]); // the decoder gives a list of addresses
      case 'regsUser':
      case 'regsIntr':
        return this.#registers(value as RecordFields); // the decoder gives fields
      default:
        return typeof value === 'object' && !Array.isArray(value)
          ? this.#fields(value as RecordFields)
          : value; // no list is left
    }
  }

  /** Values as read(2) has them, without their times. */
  #fields(fields: RecordFields): StepResult {
    return Object.fromEntries(
      Object.entries(fields)
        .filter(([key]) => !key.startsWith('time'))
        .map(([key, value]) => [key, this.#field(key, value)]),
    );
  }

  /** A label by its name; of other code only whose it is. */
  #code(address: bigint): string {
    if ((address & kernelBit) !== 0n) return 'kernel';
    const name = nameAddress(this.#context.lab, this.#context.tasks, address);
    return name === hex(address) ? 'code' : name;
  }

  /** The contexts of a call chain with the innermost address of each: deeper ones are a matter of the code. */
  #chain(addresses: readonly bigint[]): string[] {
    const told: string[] = [];
    for (const [n, address] of addresses.entries()) {
      if (address >= contextMarks) told.push(`in ${contextNames[String(address)] ?? hex(address)}`);
      else if (n === 0 || (addresses[n - 1] ?? 0n) >= contextMarks) told.push(this.#code(address));
    }
    return told;
  }

  #registers(fields: RecordFields): StepResult {
    const { abi, ...rest } = fields;
    const ip = rest[`r${PERF_REG_X86_IP}`];
    return {
      abi,
      registers: Object.keys(rest).length,
      ...(typeof ip === 'bigint' ? { ip: this.#code(ip) } : {}),
    };
  }
}

/** Whether no record is older than the one before it. */
function timesAscend(records: readonly RingRecord[]): boolean {
  let last = 0n;
  for (const { fields } of records) {
    const time = fields.time;
    if (typeof time !== 'bigint') continue;
    if (time < last) return false;
    last = time;
  }
  return true;
}
