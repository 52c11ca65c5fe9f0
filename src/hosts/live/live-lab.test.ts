import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ScenarioMachine } from '../../scenario/format.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { encodePerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { type LiveLab, LiveLabMaker } from './live-lab.ts';

const maker = new LiveLabMaker();
const reason = maker.unable() ?? (maker.machine.root ? undefined : 'it needs root');
if (reason !== undefined) console.log(`skipped: the live lab: ${reason}`);
afterAll(() => maker.close());

const machine: ScenarioMachine = {
  arch: 'x86',
  brps: [],
  wrps: [],
  cpus: 1,
  era: 'modern',
  features: [],
  paranoid: 2,
  kallsyms: {},
  offline: [],
};

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(reason !== undefined)('the live lab', () => {
  function withLab(use: (lab: LiveLab) => void): void {
    const lab = maker.make(machine);
    try {
      use(lab);
    } finally {
      lab.close();
    }
  }
  function watch(lab: LiveLab, task: string, bpType: number, bpAddr: bigint, bpLen = 8n): () => number {
    const attr = encodePerfEventAttr({ type: 5, bpType, bpAddr, bpLen });
    const fd = lab.calls.perfEventOpen({ attr, pid: lab.tasks.tid(task), cpu: -1, groupFd: -1, flags: 0 });
    return () => Number(new DataView(lab.calls.read(fd, 8).buffer).getBigUint64(0, true));
  }

  it('makes exactly the accesses that were asked for, of every kind and width', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const at = lab.tasks.dataAddress('A');
      const writes = watch(lab, 'A', 2, at);
      const all = watch(lab, 'A', 3, at);
      let stores = 0;
      let accesses = 0;
      for (const lenBytes of [1, 2, 4, 8])
        for (const type of ['store', 'load', 'rmw'] as const) {
          lab.tasks.act('A', { type, at, lenBytes, times: 3, value: 1n });
          accesses += 3;
          if (type !== 'load') stores += 3;
          expect([type, lenBytes, writes(), all()]).toEqual([type, lenBytes, stores, accesses]);
        }
      lab.tasks.act('A', { type: 'storeTwo', at, at2: at + 64n, lenBytes: 8, times: 2, value: 1n });
      expect([writes(), all()]).toEqual([stores + 2, accesses + 2]);
    });
  });

  it('executes a code label exactly so many times, and no other', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const first = watch(lab, 'A', 4, lab.tasks.codeAddress('A', 0));
      const last = watch(lab, 'A', 4, lab.tasks.codeAddress('A', 15));
      lab.tasks.act('A', { type: 'call', at: lab.tasks.codeAddress('A', 15), times: 7 });
      expect([first(), last()]).toEqual([0, 7]);
    });
  });

  it('touches the data page with nothing else: threads, children, exec, migration, end', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const at = lab.tasks.dataAddress('A');
      const attr = encodePerfEventAttr({ type: 5, bpType: 3, bpAddr: at, bpLen: 8n });
      const fd = lab.calls.perfEventOpen({ attr, pid: -1, cpu: 0, groupFd: -1, flags: 0 });
      lab.tasks.thread('A', 'T');
      lab.tasks.fork('A', 'F');
      lab.tasks.migrate('T', 0);
      lab.tasks.reschedule('F');
      lab.tasks.exec('F');
      lab.tasks.exit('T');
      lab.tasks.exit('F');
      expect(new DataView(lab.calls.read(fd, 8).buffer).getBigUint64(0, true)).toBe(0n);
      lab.tasks.act('A', { type: 'store', at, lenBytes: 1, times: 1, value: 1n });
      expect(new DataView(lab.calls.read(fd, 8).buffer).getBigUint64(0, true)).toBe(1n);
    });
  });

  it('has threads and children at the addresses of their parent, and acts in each', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      lab.tasks.thread('A', 'T');
      lab.tasks.fork('T', 'F');
      lab.tasks.exec('F');
      expect(new Set(['A', 'T', 'F'].map((name) => lab.tasks.dataAddress(name))).size).toBe(1);
      expect(new Set(['A', 'T', 'F'].map((name) => lab.tasks.tid(name))).size).toBe(3);
      const at = lab.tasks.dataAddress('A');
      const counts = ['A', 'T', 'F'].map((name) => watch(lab, name, 2, at));
      ['A', 'T', 'F'].forEach((name, n) => {
        lab.tasks.act(name, { type: 'store', at, lenBytes: 8, times: n + 1, value: 1n });
      });
      expect(counts.map((count) => count())).toEqual([1, 2, 3]);
    });
  });

  it('lets the kernel write on behalf of a task, and tells its signals', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const at = lab.tasks.dataAddress('A');
      const writes = watch(lab, 'A', 2, at, 1n);
      lab.tasks.act('A', { type: 'syscallWrite', at, lenBytes: 1 });
      expect(writes()).toBe(1);
      expect(lab.tasks.act('A', { type: 'trap', kind: 'int3' }).signals).toEqual([
        { signal: 5, code: 0x80, addr: 0n },
      ]);
    });
  });

  it('acts itself as "self"', () => {
    withLab((lab) => {
      const at = lab.tasks.dataAddress('self');
      const attr = encodePerfEventAttr({ type: 5, bpType: 2, bpAddr: at, bpLen: 8n });
      const fd = lab.calls.perfEventOpen({ attr, pid: 0, cpu: -1, groupFd: -1, flags: 0 });
      lab.tasks.act('self', { type: 'store', at, lenBytes: 8, times: 4, value: 1n });
      expect(new DataView(lab.calls.read(fd, 8).buffer).getBigUint64(0, true)).toBe(4n);
    });
  });

  it('reports a puppet that dies as a failure of the lab', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const wild = { type: 'store', at: 8n, lenBytes: 8, times: 1, value: 1n } as const;
      expect(() => lab.tasks.act('A', wild)).toThrow(LabFailure);
      expect(() => lab.tasks.act('A', wild)).toThrow();
    });
  });

  it('drops its own credentials and takes them back, and says whether a breakpoint exists', () => {
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      const open = (task: string) => () => watch(lab, task, 2, lab.tasks.dataAddress('A'));
      lab.tasks.credentials('self', { user: 'nobody', caps: [] });
      expect(open('A')).toThrow(/EACCES/);
      lab.tasks.credentials('self', { user: 'nobody', caps: ['PERFMON'] });
      expect(open('A')).not.toThrow();
      lab.tasks.credentials('self', undefined);
      expect([process.getuid?.(), process.geteuid?.()]).toEqual([0, 0]);
      expect(open('A')).not.toThrow();
      expect(lab.used()).toBe(true);
      lab.tasks.credentials('self', { user: 'nobody', caps: [] });
    });
    expect(process.getuid?.()).toBe(0); // the lab's end took them back
  });

  it('leaves no process and no fd behind', () => {
    const fds = (): number => fs.readdirSync('/proc/self/fd').length;
    withLab((lab) => lab.tasks.spawn('A', {})); // images of puppets are kept
    const before = fds();
    const pids: number[] = [];
    withLab((lab) => {
      lab.tasks.spawn('A', {});
      watch(lab, 'A', 2, lab.tasks.dataAddress('A'));
      lab.tasks.fork('A', 'F');
      lab.tasks.thread('A', 'T');
      lab.tasks.exit('A'); // its thread goes on
      pids.push(...['A', 'F'].map((name) => lab.tasks.tid(name)));
      expect(pids.every(alive)).toBe(true);
    });
    expect(pids.some(alive)).toBe(false);
    expect(fds()).toBe(before);
  });

  it('leaves nothing behind when the runner is killed', async () => {
    const module = join(import.meta.dirname, '../../../dist/hosts/live/live-lab.js');
    const runner = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `import { LiveLabMaker } from ${JSON.stringify(module)};
       const lab = new LiveLabMaker().make(${JSON.stringify(machine)});
       lab.tasks.spawn('A', {});
       lab.tasks.fork('A', 'F');
       lab.tasks.fork('F', 'G');
       lab.tasks.exec('G');
       lab.tasks.exit('F');
       console.log(['A', 'G'].map((name) => lab.tasks.tid(name)).join(' '));
       setInterval(() => {}, 1000);`,
    ]);
    const line = await new Promise<string>((resolve) => {
      runner.stdout.once('data', (data: Buffer) => resolve(data.toString()));
    });
    const pids = line.trim().split(' ').map(Number);
    expect(pids.length).toBe(2);
    expect(pids.every(alive)).toBe(true);
    runner.kill('SIGKILL');
    await new Promise((resolve) => runner.once('exit', resolve));
    await expect.poll(() => pids.some(alive), { timeout: 5000 }).toBe(false);
  });

  it('tells what this kernel does by trying it, and that is what its release is known for', () => {
    const [major = 0, minor = 0] = maker.machine.release.split('.').map(Number);
    const since = (feature: string, at: readonly [number, number]): boolean =>
      maker.machine.features.includes(feature) === (major > at[0] || (major === at[0] && minor >= at[1]));
    expect(since('sticky-stop', [6, 17])).toBe(true);
    expect(since('pmu-resched', [6, 18])).toBe(true);
  });

  it('refuses an event that would send SIGTRAP to the runner itself', () => {
    withLab((lab) => {
      const open = (task: string, sigtrap: boolean): string | undefined =>
        lab.lacks({ line: 1, step: 'open', keys: { task, attr: { sigtrap } }, expect: undefined });
      expect(open('self', true)).toContain('takes no signals');
      expect([open('self', false), open('A', true)]).toEqual([undefined, undefined]);
    });
  });
});
