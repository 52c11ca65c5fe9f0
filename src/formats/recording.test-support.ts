import { valueFlags } from '../ring/hit-columns.ts';
import { entryText, type RecordingHeader } from './recording-entries.ts';
import { RecordingWriter } from './recording-writer.ts';

/** A header like one of a program of two threads that was watched. */
export const testHeader: RecordingHeader = {
  type: 'recording',
  kernel: 'Linux 6.1.0 x86_64',
  machine: { hostname: 'host', release: '6.1.0', arch: 'x86_64', cpus: 2 },
  tool: 'trapline test',
  command: ['record', '-o', 'file', 'counter'],
  pid: 100,
  comm: 'prog',
  threads: 2,
  cpus: [0, 1],
  kernelMode: true,
  notes: [],
  sinceNs: 5_000_000_000n,
  wallClockNs: 1_700_000_000_000_000_000n,
  stacks: true,
  values: true,
  watches: [
    {
      text: 'counter',
      address: 0x404040n,
      lenBytes: 4,
      access: 'w',
      symbol: 'counter',
      module: 'prog',
      type: { kind: 'base', name: 'int', byteSize: 4, encoding: 'signed' },
    },
  ],
};

/** Something that keeps what is written, each write apart. */
export class MemorySink {
  readonly writes: Uint8Array[] = [];

  write(bytes: Uint8Array): void {
    this.writes.push(bytes.slice());
  }

  /** All of it. */
  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.writes));
  }
}

/**
 * A recording of `hits` stores of 1, 2, 3, … by two threads in turn, a microsecond apart; the second thread's have a
 * stack of two frames. Every `flushEvery` hits are flushed.
 */
export function testRecording(
  hits: number,
  options: { readonly flushEvery?: number; readonly end?: boolean } = {},
): MemorySink {
  const sink = new MemorySink();
  const writer = new RecordingWriter(sink);
  writer.entry(entryText(testHeader));
  writer.entry(
    entryText({
      type: 'mapping',
      timeNs: testHeader.sinceNs,
      pid: 100,
      start: 0x401000n,
      lengthBytes: 0x1000n,
      offset: 0x1000n,
      inode: 7n,
      device: 'fd:01',
      path: '/bin/prog',
      buildId: '00112233445566778899aabbccddeeff00112233',
    }),
  );
  const place = (address: bigint, name: string, line: number) =>
    ({
      address,
      module: 'prog',
      modulePath: '/bin/prog',
      symbol: name,
      function: name,
      offset: 4n,
      file: '/src/prog.c',
      line,
    }) as const;
  writer.entry(
    entryText({
      type: 'site',
      pid: 100,
      watch: 0,
      code: {
        sampleIp: 0x401137n,
        ip: 0x401131n,
        instructionFound: true,
        location: place(0x401131n, 'store', 12),
        kernel: false,
        access: 'w',
        text: 'mov %eax,counter',
      },
    }),
  );
  writer.entry(entryText({ type: 'frame', kernel: false, location: place(0x401137n, 'store', 12) }));
  writer.entry(entryText({ type: 'frame', kernel: false, location: place(0x401155n, 'main', 30) }));
  writer.entry(entryText({ type: 'stack', frames: [0, 1] }));
  const accesses = [0, 1].map((thread) =>
    writer.entry(
      entryText({
        type: 'access',
        pid: 100,
        tid: 100 + thread,
        comm: thread === 0 ? 'prog' : 'worker',
        cpu: thread,
        site: 0,
        stack: thread,
      }),
    ),
  );
  const flags = valueFlags.before | valueFlags.exact | 1;
  for (let i = 0; i < hits; i++) {
    const time = 5_000_000_000 + 1000 * (i + 1);
    const high = Math.floor(time / 2 ** 32);
    writer.hit(accesses[i % 2] ?? 0, flags, time >>> 0, high, i, 0, i + 1, 0);
    if (options.flushEvery !== undefined && (i + 1) % options.flushEvery === 0) writer.flush();
  }
  if (options.end !== false) {
    writer.entry(entryText({ type: 'end', timeNs: 6_000_000_000n, reason: 'target ended', hits, lost: 0 }));
    writer.finish();
  } else writer.flush();
  return sink;
}
