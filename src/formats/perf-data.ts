import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { PerfDataBytes } from './perf-data-bytes.ts';
import { perfFeatures } from './perf-data-features.ts';
import { framesOf, readHits } from './read-hits.ts';
import type { AccessEntry, MappingEntry, RecordingEntry, RecordingHeader } from './recording-entries.ts';
import type { ReadResult, RecordingTables } from './recording-reader.ts';

// A perf.data: what `perf record -e mem:` writes.
//
//   header  | ids | attrs, each with where its ids are | records | a table of feature sections | these sections
//
// Source: tools/perf/Documentation/perf.data-file-format.txt as a format, perf_event_open(2) for attrs and records.

const headerBytes = 104;
const attrBytes = 128;
const chunkBytes = 1 << 18;

/** PERF_RECORD_… */
const record = { lost: 2, comm: 3, exit: 4, fork: 7, sample: 9, mmap2: 10 } as const;
/** PERF_RECORD_MISC_… */
const misc = { kernel: 1, user: 2, commExec: 1 << 13, mmapBuildId: 1 << 14 } as const;
/** PERF_SAMPLE_IP, TID, TIME, ADDR, CPU, IDENTIFIER; and CALLCHAIN. */
const sampleType = 0x1_008fn;
const sampleCallchain = 0x20n;
/** PERF_CONTEXT_KERNEL, PERF_CONTEXT_USER. */
const contextKernel = 0xffff_ffff_ffff_ff80n;
const contextUser = 0xffff_ffff_ffff_fe00n;

/** Writes a recording as a perf.data. It is read twice. */
export function writePerfData(source: ByteSource, sink: ByteSink): ReadResult {
  const counts: number[] = [];
  const entries: RecordingEntry[] = [];
  let tables: RecordingTables | undefined;
  const first = readHits(source, {
    entry(entry) {
      if (!['site', 'frame', 'stack', 'access'].includes(entry.type)) entries.push(entry);
    },
    hit({ number }, now) {
      tables = now;
      counts[number] = (counts[number] ?? 0) + 1;
    },
  });
  const { header } = first;
  const side = sideRecords(first, entries, counts);
  const samples: Sample[] = [];
  let dataBytes = side.length;
  for (const [number, count] of counts.entries()) {
    const access = first.accesses[number];
    if (count === undefined || access === undefined) continue;
    const sample = sampleOf(access, tables ?? first);
    samples[number] = sample;
    dataBytes += count * sample.bytes.length;
  }
  const attrsAt = headerBytes + 8 * header.watches.length;
  const dataAt = attrsAt + (attrBytes + 16) * header.watches.length;
  const features = perfFeatures(first, entries, {
    at: dataAt + dataBytes,
    attrs: header.watches.map((_, i) => attrOf(header, i)),
  });

  const out = new PerfDataBytes();
  out.text('PERFILE2', 8);
  out.u64(headerBytes).u64(attrBytes + 16);
  out.u64(attrsAt).u64((attrBytes + 16) * header.watches.length);
  out.u64(dataAt).u64(dataBytes);
  out.u64(0).u64(0);
  out.u64(features.bits).u64(0).u64(0).u64(0);
  for (const watch of header.watches.keys()) out.u64(watch + 1);
  for (const watch of header.watches.keys()) {
    out.raw(attrOf(header, watch));
    out.u64(headerBytes + 8 * watch).u64(8);
  }
  out.raw(side);
  readHits(source, {
    hit({ number, timeNs }) {
      const { bytes, view } = samples[number]!; // made from the first reading
      view.setBigUint64(timeOffset, timeNs, true);
      out.raw(bytes);
      if (out.length > chunkBytes) sink.write(out.take());
    },
  });
  out.raw(features.bytes);
  sink.write(out.take());
  return first;
}

/** A sample's record; its time is filled in for each hit. */
interface Sample {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Behind header, identifier, ip, pid and tid. */
const timeOffset = 32;

function sampleOf(access: AccessEntry, tables: RecordingTables): Sample {
  const { code, watch } = tables.sites[access.site]!; // checked by the reader
  const out = new PerfDataBytes();
  out.begin(record.sample, code.kernel ? misc.kernel : misc.user);
  out
    .u64(watch + 1)
    .u64(code.sampleIp)
    .u32(access.pid)
    .u32(access.tid)
    .u64(0);
  out
    .u64(tables.header.watches[watch]?.address ?? 0)
    .u32(access.cpu)
    .u32(0);
  if (tables.header.stacks) {
    const chain: bigint[] = [];
    let kernel: boolean | undefined;
    for (const [i, frame] of framesOf(access, tables).entries()) {
      if (frame.kernel !== kernel) chain.push(frame.kernel ? contextKernel : contextUser);
      kernel = frame.kernel;
      chain.push(i === 0 ? code.sampleIp : frame.location.address);
    }
    out.u64(chain.length);
    for (const each of chain) out.u64(each);
  }
  out.end();
  const bytes = out.take();
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

/** perf_event_attr of a watch, 128 bytes. */
function attrOf(header: RecordingHeader, number: number): Uint8Array {
  const watch = header.watches[number]!; // a number of these
  const out = new PerfDataBytes();
  const bpType = watch.access === 'x' ? 4 : watch.access === 'w' ? 2 : 3;
  // inherit, mmap, comm, task, sample_id_all, mmap2, comm_exec, use_clockid
  const flags = [1, 8, 9, 13, 18, 23, 24, 25].reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);
  out.u32(5).u32(attrBytes).u64(0).u64(1);
  out
    .u64(header.stacks ? sampleType | sampleCallchain : sampleType)
    .u64(0x14)
    .u64(flags);
  out.u32(0).u32(bpType).u64(watch.address).u64(watch.lenBytes);
  out.u64(0).u64(0).u32(0).u32(1); // branch and user registers; clockid: CLOCK_MONOTONIC
  out.raw(new Uint8Array(attrBytes - out.length));
  return out.take();
}

/** The records that are no samples, in the order of time. perf sorts what it reads by time. */
function sideRecords(
  tables: ReadResult,
  entries: readonly RecordingEntry[],
  counts: readonly (number | undefined)[],
): Uint8Array {
  const out = new PerfDataBytes();
  const { sinceNs } = tables.header;
  const trailer = (pid: number, tid: number, timeNs: bigint): void => {
    out.u32(pid).u32(tid).u64(timeNs).u32(0).u32(0).u64(1); // TID, TIME, CPU, IDENTIFIER
    out.end();
  };
  const comm = (pid: number, tid: number, name: string, timeNs: bigint, exec: boolean): void => {
    out.begin(record.comm, misc.user | (exec ? misc.commExec : 0));
    out.u32(pid).u32(tid).padded(name);
    trailer(pid, tid, timeNs);
  };
  const named = new Set<number>();
  for (const [number, count] of counts.entries()) {
    const access = tables.accesses[number];
    if (count === undefined || access === undefined || named.has(access.tid)) continue;
    named.add(access.tid);
    comm(access.pid, access.tid, access.comm, sinceNs, false);
  }
  for (const entry of entries) {
    switch (entry.type) {
      case 'mapping':
        mmap2(out, entry);
        trailer(entry.pid, entry.pid, entry.timeNs);
        break;
      case 'comm':
      case 'exec':
        comm(entry.pid, entry.tid, entry.comm ?? '', entry.timeNs, entry.type === 'exec');
        break;
      case 'fork':
      case 'exit': {
        const { pid, tid, parentPid = pid, parentTid = tid, timeNs } = entry;
        out.begin(entry.type === 'fork' ? record.fork : record.exit, misc.user);
        out.u32(pid).u32(parentPid).u32(tid).u32(parentTid).u64(timeNs);
        trailer(pid, tid, timeNs);
        break;
      }
      default:
        break;
    }
  }
  const { lost } = tables;
  if (lost > 0) {
    out.begin(record.lost, 0).u64(1).u64(lost);
    trailer(0, 0, sinceNs);
  }
  return out.take();
}

function mmap2(out: PerfDataBytes, entry: MappingEntry): void {
  const { pid, start, lengthBytes, offset, inode, device, path, buildId } = entry;
  out.begin(record.mmap2, misc.user | (buildId === undefined ? 0 : misc.mmapBuildId));
  out.u32(pid).u32(pid).u64(start).u64(lengthBytes).u64(offset);
  if (buildId === undefined) {
    const [major = 0, minor = 0] = device.split(':').map((part) => Number.parseInt(part, 16) || 0);
    out.u32(major).u32(minor).u64(inode).u64(0);
  } else out.buildId(buildId);
  out
    .u32(5)
    .u32(2)
    .padded(path === '' ? '//anon' : path); // PROT_READ | PROT_EXEC, MAP_PRIVATE
}
