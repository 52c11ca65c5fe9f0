import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ScenarioMachine } from '../../scenario/format.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { X86_64_USER_DEBUGREG_OFFSET } from '../../uapi/ptrace.ts';
import { type LiveLab, LiveLabMaker } from './live-lab.ts';

const maker = new LiveLabMaker();
const reason = maker.unable() ?? maker.refuses({ ...plainMachine() }, ['ptrace']);
if (reason !== undefined) console.log(`skipped: the live tracer: ${reason}`);
afterAll(() => maker.close());

function plainMachine(): ScenarioMachine {
  const lists = { features: [], offline: [] };
  return { arch: 'x86', brps: [], wrps: [], cpus: 1, era: 'modern', paranoid: 2, kallsyms: {}, ...lists };
}

const debugreg = (n: number) => ({ offset: BigInt(X86_64_USER_DEBUGREG_OFFSET + 8 * n), compat: false });
/** A write watch of 8 bytes in DR0. */
const watchControl = 0x9_0001n;

/** The process that traces a task, by proc(5); 0: none. */
function tracerOf(tid: number): number {
  return Number(/^TracerPid:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${tid}/status`, 'utf8'))?.[1]);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(reason !== undefined)('the live tracer', () => {
  function withTracee(use: (lab: LiveLab, at: bigint) => void): void {
    const lab = maker.make(plainMachine());
    try {
      lab.tasks.spawn('A', {});
      const at = lab.tasks.dataAddress('A');
      lab.ptrace.attach('A', { followFork: false });
      lab.ptrace.poke('A', debugreg(0), at);
      lab.ptrace.poke('A', debugreg(7), watchControl);
      use(lab, at);
    } finally {
      lab.close();
    }
  }
  const store = (lab: LiveLab, at: bigint, times = 1): void => {
    lab.tasks.act('A', { type: 'store', at, lenBytes: 8, times, value: 1n });
  };

  it('is a process of its own, which ends before its tracees do', () => {
    const pids: number[] = [];
    withTracee((lab, at) => {
      const tracee = lab.tasks.tid('A');
      pids.push(tracee, tracerOf(tracee));
      expect(pids).not.toContain(process.pid);
      store(lab, at, 3); // it stands in the midst of an access when all is cleared
      expect(lab.ptrace.stopped('A')).toMatchObject({ signal: 5, code: 4 });
    });
    expect(pids.some(alive)).toBe(false);
  });

  it('counts every stop of an access: as many as stores', () => {
    withTracee((lab, at) => {
      store(lab, at, 25);
      let stops = 0;
      while (lab.ptrace.stopped('A') !== null && stops < 100) {
        stops++;
        lab.ptrace.resume('A', { step: false });
      }
      expect(stops).toBe(25);
      lab.ptrace.detach('A');
      expect(lab.tasks.act('A', { type: 'store', at, lenBytes: 8, times: 2, value: 1n }).total).toBe(2);
    });
  });

  it('is broken, and no difference, when it dies or its tracee does', () => {
    withTracee((lab, at) => {
      const tracer = tracerOf(lab.tasks.tid('A'));
      process.kill(tracer, 'SIGKILL');
      expect(() => store(lab, at)).toThrow(LabFailure);
    });
    withTracee((lab, at) => {
      process.kill(lab.tasks.tid('A'), 'SIGKILL');
      expect(() => store(lab, at)).toThrow(LabFailure);
    });
    withTracee((lab, at) => {
      store(lab, at);
      expect(lab.ptrace.stopped('A')).toMatchObject({ signal: 5 }); // and the next one works
    });
  });

  it('leaves nothing behind when the runner is killed while a tracee stands', async () => {
    const module = join(import.meta.dirname, '../../../dist/hosts/live/live-lab.js');
    const runner = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `import { LiveLabMaker } from ${JSON.stringify(module)};
       const lab = new LiveLabMaker().make(${JSON.stringify(plainMachine())});
       lab.tasks.spawn('A', {});
       lab.ptrace.attach('A', { followFork: true });
       lab.tasks.fork('A', 'F');
       console.log(['A', 'F'].map((name) => lab.tasks.tid(name)).join(' '));
       setInterval(() => {}, 1000);`,
    ]);
    const line = await new Promise<string>((resolve) => {
      runner.stdout.once('data', (data: Buffer) => resolve(data.toString()));
    });
    const pids = line.trim().split(' ').map(Number);
    pids.push(tracerOf(pids[0] ?? 0));
    expect(pids.length).toBe(3);
    expect(pids.every(alive)).toBe(true);
    runner.kill('SIGKILL');
    await new Promise((resolve) => runner.once('exit', resolve));
    await expect.poll(() => pids.some(alive), { timeout: 5000 }).toBe(false);
  });
});
