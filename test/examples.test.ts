import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const directory = join(import.meta.dirname, '..', 'examples', 'model');

// What each prints, line by line.
const outputs: Record<string, string[]> = {
  '01-count-writes.mjs': ['writes: 1000, reads and writes: 2000'],
  '02-who-holds-the-slots.mjs': [
    'event 1: 0x1000 on task worker: in DR1 of CPU 0',
    'event 2: 0x400000 on task worker, cpu 1 only: in no register',
    'event 3: 0xffffffff83000000 on cpu 0: in DR0 of CPU 0',
    'event 4: 0xffffffff83000000 on cpu 1: in DR0 of CPU 1',
  ],
  '03-a-fifth-breakpoint.mjs': [
    'breakpoint 1 of A, disabled: ok',
    'breakpoint 2 of A, disabled: ok',
    'breakpoint 3 of A, disabled: ok',
    'breakpoint 4 of A, disabled: ok',
    'breakpoint 5 of A, disabled: ENOSPC',
    'breakpoint 1 of B: tasks do not compete: ok',
    'CPU 0, all tasks: must leave room for the greediest task: ENOSPC',
  ],
  '04-per-cpu-mask.mjs': [
    'hits by CPU: 1: 1, 3: 1',
    'CPU 1 is full, so a mask of 0 and 1: ENOSPC; CPU 0 is enabled: false',
  ],
  '05-replay-a-memory-trace.mjs': [
    '170096 accesses; 252 writes to 0x1fff000070, from 4 places:',
    '  before 0x4008dde: 246',
    '  before 0x40090f1: 4',
    '  before 0x401223d: 1',
    '  before 0x40090d8: 1',
  ],
  '06-ptrace-and-perf.mjs': [
    'stopped by signal 5, code 4, at 0x400004',
    "the debugger's DR6: 0xffff0ff8",
    "the profiler's count: 1",
    'event 1: the profiler',
    'event 2: the debugger',
    'without a debugger: 1 SIGTRAP for the task itself',
    "events left when it has ended: 1, the profiler's, which can be read: 2",
  ],
  '07-period-and-ring.mjs': [
    '9 writes: 9 hits, head 96, 0 lost',
    'first sample: ip 0x400104, time 20 ns',
    '399 writes: 399 hits, head 4064, 6 lost',
    '2 more, of period 1, after the reader caught up: 401 hits, head 4152, 6 lost',
    'poll: 0x41, then 0x0',
  ],
  '08-x86-and-arm64.mjs': [
    ...['loads alone', 'three bytes', 'an instruction of 4 bytes'].map((what) => `x86: ${what}: EINVAL`),
    'x86: a store of 7 at 0x400200: value 7, standing at 0x400204; 1 hit, 1 traps',
    ...['loads alone', 'three bytes', 'an instruction of 4 bytes'].map((what) => `arm64: ${what}: ok`),
    'arm64: a store of 7 at 0x400200: value 0, standing at 0x400200; 1 hit, 2 traps',
  ],
};

describe('the examples on the model print what they are said to', () => {
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.mjs')))
    it(file, () => {
      expect(
        execFileSync(process.execPath, [join(directory, file)], { encoding: 'utf8' })
          .trimEnd()
          .split('\n'),
      ).toEqual(outputs[file]);
    });
});
