import fs from 'node:fs';
import os from 'node:os';
import { parseCpuList } from '../../linux/tasks.ts';

/** What of the machine matters to scenarios. */
export interface LiveMachine {
  readonly arch: string;
  /** Release of the kernel: "6.18.1". */
  readonly release: string;
  /** CPUs that this process may run on. */
  readonly cpus: readonly number[];
  readonly root: boolean;
  /** Any task may be traced: root, and no rule against it. */
  readonly mayTrace: boolean;
  /** kernel.perf_event_paranoid. */
  readonly paranoid: number;
  /** By the names of docs/spec/09 "Header". */
  readonly features: readonly string[];
}

function text(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return ''; // not there: the fact is not known
  }
}

/**
 * From these releases on kernels have been seen to behave so: the stop mark of docs/spec/03 section 6.3 survives, siblings
 * of a foreign leader wait (section 3.2). Used where it cannot be tried.
 */
const sinceRelease: Readonly<Record<string, readonly [number, number]>> = {
  'sticky-stop': [6, 17],
  'pmu-resched': [6, 18],
};

/** Facts of this machine, by proc(5). */
export function readLiveMachine(): LiveMachine {
  const release = os.release();
  const [major = 0, minor = 0] = release.split('.').map(Number);
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(text('/proc/self/status'))?.[1] ?? '0';
  const features: string[] = ['tasks-sleep']; // puppets do
  const root = process.getuid?.() === 0;
  if (/^flags\s*:.*\bbpext\b/m.test(text('/proc/cpuinfo'))) features.push('bpext');
  if (/ (register_kprobe|kprobes_all_disarmed)$/m.test(text('/proc/kallsyms'))) features.push('kprobes');
  for (const [feature, [sinceMajor, sinceMinor]] of Object.entries(sinceRelease))
    if (major > sinceMajor || (major === sinceMajor && minor >= sinceMinor)) features.push(feature);
  return {
    arch: process.arch === 'x64' ? 'x86' : process.arch,
    release,
    cpus: parseCpuList(allowed),
    root,
    mayTrace: root && text('/proc/sys/kernel/yama/ptrace_scope').trim() !== '3',
    paranoid: Number(text('/proc/sys/kernel/perf_event_paranoid')),
    features,
  };
}
