import { buildIdBytes, PerfDataBytes } from './perf-data-bytes.ts';
import { eventName } from './perf-script.ts';
import type { RecordingEntry } from './recording-entries.ts';
import type { ReadResult } from './recording-reader.ts';

/** HEADER_… of a perf.data: the bits of its feature sections. `perf data convert` crashes without those from 3 to 11. */
const feature = {
  buildId: 2,
  hostname: 3,
  osrelease: 4,
  version: 5,
  arch: 6,
  nrcpus: 7,
  cpudesc: 8,
  cpuid: 9,
  cmdline: 11,
  eventDesc: 12,
} as const;

/**
 * The feature sections with their table, for offset `at` of the file.
 *
 * ```
 * table:   for each section, in the order of the bits, u64 its offset, u64 its size
 * string:  u32 its size with padding, then it
 * ```
 */
export function perfFeatures(
  recording: ReadResult,
  entries: readonly RecordingEntry[],
  place: { readonly at: number; readonly attrs: readonly Uint8Array[] },
): { readonly bits: bigint; readonly bytes: Uint8Array } {
  const { header } = recording;
  const { machine } = header;
  const sections: [number, Uint8Array][] = [
    [feature.buildId, buildIds(entries)],
    [feature.hostname, strings([machine.hostname ?? 'unknown'])],
    [feature.osrelease, strings([machine.release ?? header.kernel])],
    [feature.version, strings([header.tool])],
    [feature.arch, strings([machine.arch ?? 'x86_64'])],
    [feature.nrcpus, new PerfDataBytes().u32(machine.cpus).u32(machine.cpus).take()],
    [feature.cpudesc, strings([machine.cpu ?? 'unknown'])],
    [feature.cpuid, strings(['unknown'])],
    [feature.cmdline, strings(['trapline', ...header.command], { counted: true })],
    [feature.eventDesc, eventDesc(recording, place.attrs)],
  ];
  const present = sections.filter(([, bytes]) => bytes.length > 0);
  const out = new PerfDataBytes();
  let at = place.at + 16 * present.length;
  let bits = 0n;
  for (const [bit, bytes] of present) {
    bits |= 1n << BigInt(bit);
    out.u64(at).u64(bytes.length);
    at += bytes.length;
  }
  for (const [, bytes] of present) out.raw(bytes);
  return { bits, bytes: out.take() };
}

function strings(texts: readonly string[], options: { readonly counted?: boolean } = {}): Uint8Array {
  const out = new PerfDataBytes();
  if (options.counted === true) out.u32(texts.length);
  for (const text of texts) stringTo(out, text);
  return out.take();
}

function stringTo(out: PerfDataBytes, text: string): void {
  const padded = new PerfDataBytes().padded(text).take();
  out.u32(padded.length).raw(padded);
}

function eventDesc({ header }: ReadResult, attrs: readonly Uint8Array[]): Uint8Array {
  const out = new PerfDataBytes();
  out.u32(attrs.length).u32(attrs[0]?.length ?? 0);
  for (const [i, attr] of attrs.entries()) {
    out.raw(attr).u32(1);
    stringTo(out, eventName(header.watches[i]!)); // one a watch
    out.u64(i + 1);
  }
  return out.take();
}

/** Records of type PERF_RECORD_HEADER_BUILD_ID (67), misc USER and "the size is there". */
function buildIds(entries: readonly RecordingEntry[]): Uint8Array {
  const out = new PerfDataBytes();
  const told = new Set<string>();
  for (const entry of entries) {
    if (entry.type !== 'mapping' || entry.buildId === undefined || told.has(entry.path)) continue;
    told.add(entry.path);
    out
      .begin(67, 2 | (1 << 15))
      .u32(0xffff_ffff)
      .raw(buildIdBytes(entry.buildId));
    out
      .u8(Math.min(20, entry.buildId.length >> 1))
      .u8(0)
      .u16(0)
      .padded(entry.path)
      .end();
  }
  return out.take();
}
