import { spawn } from 'node:child_process';
import { SeededRandom } from '#dist/base/random.js';
import { type AccessTrace, AccessTraceBuilder, accessKinds } from '#dist/machines/sim/access-trace.js';
import { LackeyTraceParser } from '#dist/machines/sim/lackey-trace.js';

/** A trace to walk, and where it came from. */
export interface TraceSource {
  readonly trace: AccessTrace;
  readonly description: string;
}

/** A real program, recorded now. */
const program = ['gzip', '-9', '-c'];

/** A recording of at least `accesses` accesses by valgrind's lackey; a seeded synthetic one where there is no valgrind. */
export async function recordTrace(accesses: number, inputFile: string): Promise<TraceSource> {
  try {
    const parser = new LackeyTraceParser();
    await new Promise<void>((resolve, reject) => {
      const child = spawn(
        'valgrind',
        ['--tool=lackey', '--trace-mem=yes', '--log-fd=3', ...program, inputFile],
        {
          stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
        },
      );
      const log = child.stdio[3];
      if (log === null || log === undefined || !('setEncoding' in log))
        throw new Error('the log of valgrind is a readable pipe');
      log.setEncoding('latin1');
      log.on('data', (chunk: string) => {
        try {
          parser.push(chunk);
        } catch (error) {
          child.kill();
          reject(error);
        }
      });
      log.on('end', resolve);
      child.on('error', reject);
    });
    const trace = parser.finish();
    if (trace.length >= accesses)
      return { trace, description: `gzip -9 recorded by valgrind lackey: ${trace.length} accesses` };
    return {
      trace: repeated(trace, accesses),
      description: `gzip -9 recorded by valgrind lackey: ${trace.length} accesses, repeated to ${accesses}`,
    };
  } catch (error) {
    return {
      trace: syntheticTrace(accesses),
      description: `synthetic, seed 1, ${accesses} accesses (${error instanceof Error ? error.message : error})`,
    };
  }
}

function repeated(trace: AccessTrace, accesses: number): AccessTrace {
  const builder = new AccessTraceBuilder();
  for (let i = 0; i < accesses; i++) {
    const at = i % trace.length;
    const shape = trace.shape[at] ?? 0;
    builder.add(shape >>> 14, trace.addressLow[at] ?? 0, trace.addressHigh[at] ?? 0, shape & 0x3fff);
  }
  return builder.finish();
}

/** Instructions with loads and stores over a stack, a heap and a table. */
export function syntheticTrace(accesses: number): AccessTrace {
  const random = new SeededRandom(1);
  const builder = new AccessTraceBuilder();
  const regions = [0x1ffe_0000, 0x0500_0000, 0x0600_0000];
  while (builder.length < accesses) {
    builder.add(accessKinds.instruction, 0x40_0000 + random.below(0x8000), 0, 1 + random.below(7));
    if (random.below(2) === 0) continue;
    const base = regions[random.below(regions.length)] ?? 0;
    builder.add(
      random.below(3) === 0 ? accessKinds.store : accessKinds.load,
      base + 8 * random.below(0x2000),
      0,
      8,
    );
  }
  return builder.finish();
}
