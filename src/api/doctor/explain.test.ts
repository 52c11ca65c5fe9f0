import { describe, expect, it } from 'vitest';
import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { ordinaryFacts } from './doctor.test-support.ts';
import { explainFailure, explainFull, type Failure, type Need, type Stage } from './explain.ts';
import type { DoctorFacts } from './report.ts';

const facts = (some: Partial<DoctorFacts> = {}): DoctorFacts => ({ ...ordinaryFacts, ...some });
const refused = (code: ErrnoName, stage: Stage = 'open'): Failure => ({
  type: 'refused',
  stage,
  errno: errnoValues[code],
  operation: 'perf_event_open(x)',
});
const caps = (some: Partial<DoctorFacts['capabilities']>): DoctorFacts['capabilities'] => ({
  ...ordinaryFacts.capabilities,
  ...some,
});
const container = { container: ['/.dockerenv'] };
const virtual = { virtualMachine: ['CPU flag "hypervisor"'] };

const cases: readonly {
  readonly name: string;
  readonly failure: Failure;
  readonly need: Need;
  readonly facts?: Partial<DoctorFacts>;
  readonly why: RegExp;
  readonly remedy: RegExp;
}[] = [
  {
    name: 'names the level that stands in the way of kernel mode, and the one that allows it',
    failure: refused('EACCES'),
    need: 'kernel-mode',
    why: /perf_event_paranoid is 2: watching kernel mode .* level 1 or below$/,
    remedy: /sysctl kernel\.perf_event_paranoid=1$/,
  },
  {
    name: 'names level 0 for whole CPUs',
    failure: refused('EACCES'),
    need: 'whole-cpu',
    why: /perf_event_paranoid is 2: watching whole CPUs .* level 0/,
    remedy: /perf_event_paranoid=0$/,
  },
  {
    name: 'names the level of distributions that close perf events to everyone',
    failure: refused('EACCES'),
    need: 'user',
    facts: { perfEventParanoid: 4 },
    why: /perf_event_paranoid is 4: watching one's own processes/,
    remedy: /perf_event_paranoid=2$/,
  },
  {
    name: 'says that a container cannot set the level itself',
    failure: refused('EACCES'),
    need: 'user',
    facts: { perfEventParanoid: 3, ...container },
    why: /perf_event_paranoid is 3/,
    remedy: /on the host/,
  },
  {
    name: 'says that capabilities of a user namespace do not count',
    failure: refused('EACCES'),
    need: 'kernel-mode',
    facts: { uid: 0, userNamespace: true, capabilities: caps({ perfmon: true, sysAdmin: true }) },
    why: /perf_event_paranoid is 2.*inside its user namespace/,
    remedy: /^run as root or with CAP_PERFMON outside the user namespace, or: /,
  },
  {
    name: 'does not blame a level that cannot be read',
    failure: refused('EACCES'),
    need: 'user',
    facts: { perfEventParanoid: undefined as never }, // absent
    why: /cannot be read here/,
    remedy: /CAP_PERFMON/,
  },
  {
    name: 'blames the seccomp profile of a container for EPERM',
    failure: refused('EPERM'),
    need: 'user',
    facts: { seccomp: 'filter', ...container },
    why: /^the container's seccomp profile forbids perf_event_open$/,
    remedy: /--cap-add PERFMON, or with --security-opt seccomp=/,
  },
  {
    name: 'blames a seccomp filter outside a container',
    failure: refused('EPERM'),
    need: 'user',
    facts: { seccomp: 'filter' },
    why: /^a seccomp filter on this process forbids perf_event_open$/,
    remedy: /outside the sandbox/,
  },
  {
    name: 'blames a seccomp filter for ENOSYS when there is one',
    failure: refused('ENOSYS'),
    need: 'user',
    facts: { seccomp: 'filter', ...container },
    why: /seccomp profile/,
    remedy: /PERFMON/,
  },
  {
    name: 'blames the level, not seccomp, for EACCES in a container',
    failure: refused('EACCES'),
    need: 'kernel-mode',
    facts: { seccomp: 'filter', ...container },
    why: /perf_event_paranoid is 2/,
    remedy: /on the host/,
  },
  {
    name: 'blames a security module when everything else would allow it',
    failure: refused('EACCES'),
    need: 'user',
    facts: { uid: 0, capabilities: caps({ sysAdmin: true }) },
    why: /a security module/,
    remedy: /kernel log/,
  },
  {
    name: 'asks CAP_SYS_ADMIN for kernel addresses, whatever the level',
    failure: refused('EPERM'),
    need: 'kernel-address',
    facts: { perfEventParanoid: -1, capabilities: caps({ perfmon: true }) },
    why: /needs CAP_SYS_ADMIN, at any/,
    remedy: /^run as root$/,
  },
  {
    name: 'sends root of a user namespace out of it for kernel addresses',
    failure: refused('EPERM'),
    need: 'kernel-address',
    facts: { userNamespace: true, capabilities: caps({ sysAdmin: true }) },
    why: /CAP_SYS_ADMIN.*inside its user namespace/,
    remedy: /outside the user namespace/,
  },
  {
    name: 'tells lockdown as the reason that root gets no kernel registers',
    failure: refused('EPERM'),
    need: 'kernel-address',
    facts: { lockdown: 'confidentiality', capabilities: caps({ sysAdmin: true }) },
    why: /locked down/,
    remedy: /lockdown/,
  },
  {
    name: 'tells a kernel without perf events',
    failure: refused('ENOSYS'),
    need: 'user',
    why: /CONFIG_PERF_EVENTS.*gVisor or WSL 1/,
    remedy: /kernel with perf events/,
  },
  {
    name: 'tells a machine without breakpoints (ENOENT)',
    failure: refused('ENOENT'),
    need: 'user',
    facts: virtual,
    why: /no hardware breakpoints of this kind \(ENOENT\)/,
    remedy: /hypervisor gives its guests debug registers/,
  },
  {
    name: 'tells a machine without breakpoints (EOPNOTSUPP)',
    failure: refused('EOPNOTSUPP'),
    need: 'user',
    why: /no hardware breakpoints of this kind \(EOPNOTSUPP\)/,
    remedy: /another machine or kernel/,
  },
  {
    name: 'tells a CPU that went offline',
    failure: refused('ENODEV'),
    need: 'whole-cpu',
    why: /offline/,
    remedy: /again/,
  },
  {
    name: 'tells what the kernel takes no breakpoint for',
    failure: refused('EINVAL'),
    need: 'user',
    why: /EINVAL: perf_event_open\(x\)/,
    remedy: /another machine or kernel/,
  },
  {
    name: 'says that no holder of the registers can be seen',
    failure: refused('ENOSPC'),
    need: 'user',
    why: /are taken, and no holder can be seen/,
    remedy: /end the debugger/,
  },
  {
    name: 'says that files are too many',
    failure: refused('EMFILE'),
    need: 'whole-cpu',
    why: /EMFILE/,
    remedy: /ulimit -n/,
  },
  {
    name: 'tells the budget when a ring is refused',
    failure: refused('EPERM', 'ring'),
    need: 'user',
    why: /perf_event_mlock_kb \(516 KiB a CPU\)/,
    remedy: /ulimit -l/,
  },
  {
    name: 'tells yama that forbids all tracing',
    failure: refused('EPERM', 'ptrace'),
    need: 'ptrace',
    facts: { yamaPtraceScope: 3, capabilities: caps({ sysPtrace: true }) },
    why: /ptrace_scope is 3/,
    remedy: /boot/,
  },
  {
    name: 'tells yama that asks for CAP_SYS_PTRACE',
    failure: refused('EPERM', 'ptrace'),
    need: 'ptrace',
    facts: { yamaPtraceScope: 2 },
    why: /ptrace_scope is 2/,
    remedy: /ptrace_scope=1/,
  },
  {
    name: 'does not blame yama at level 1, which allows children',
    failure: refused('EPERM', 'ptrace'),
    need: 'ptrace',
    facts: { yamaPtraceScope: 1, seccomp: 'filter', ...container },
    why: /seccomp profile forbids ptrace/,
    remedy: /--cap-add SYS_PTRACE/,
  },
  {
    name: 'passes on any other answer about a child',
    failure: refused('ENOENT', 'ptrace'),
    need: 'ptrace',
    why: /answered ENOENT/,
    remedy: /report/,
  },
  {
    name: 'blames the hypervisor when nothing fires in a virtual machine',
    failure: { type: 'silent' },
    need: 'user',
    facts: virtual,
    why: /armed it, but no debug exception came: .*the hypervisor does not deliver debug exceptions$/,
    remedy: /a machine without a hypervisor/,
  },
  {
    name: 'does not blame a hypervisor of which there is no sign',
    failure: { type: 'silent' },
    need: 'user',
    why: /no sign of a hypervisor/,
    remedy: /another machine/,
  },
  {
    name: 'says that a kernel address was armed but not fired',
    failure: { type: 'silent' },
    need: 'kernel-address',
    facts: virtual,
    why: /^armed but not fired: .*debug exceptions of kernel mode$/,
    remedy: /hypervisor/,
  },
  {
    name: 'does not blame the hypervisor for threads that inherit nothing',
    failure: { type: 'silent' },
    need: 'new-threads',
    facts: virtual,
    why: /a thread that was created afterwards gave no hit$/,
    remedy: /./,
  },
  {
    name: 'tells both figures of a wrong count',
    failure: { type: 'miscounted', seen: 3, expected: 64 },
    need: 'user',
    why: /^3 hits for 64 accesses/,
    remedy: /too few or too many/,
  },
  {
    name: 'passes on what is wrong with samples',
    failure: { type: 'bad samples', problem: '0 samples for 64 stores' },
    need: 'user',
    why: /0 samples for 64 stores/,
    remedy: /stat/,
  },
  {
    name: 'names the capabilities that bpf programs need',
    failure: refused('EPERM', 'bpf'),
    need: 'bpf',
    why: /CAP_BPF and CAP_PERFMON/,
    remedy: /root/,
  },
  {
    name: 'blames a security module where the capabilities are there',
    failure: refused('EPERM', 'bpf'),
    need: 'bpf',
    facts: { capabilities: caps({ bpf: true, perfmon: true }) },
    why: /security module/,
    remedy: /denial/,
  },
];

describe('explainFailure', () => {
  it.each(cases)('$name', ({ failure, need, facts: some, why, remedy }) => {
    const explanation = explainFailure(failure, need, facts(some));
    expect(explanation.why).toMatch(why);
    expect(explanation.remedy).toMatch(remedy);
  });

  it('answers every errno at every stage in one line', () => {
    for (const code of Object.keys(errnoValues) as ErrnoName[] /* keys of that literal */) {
      for (const stage of ['open', 'ring', 'ptrace', 'bpf', 'other'] as const) {
        const { why, remedy } = explainFailure(refused(code, stage), 'user', facts());
        expect(why).toMatch(/^[^\n]+$/);
        expect(remedy).toMatch(/^[^\n]+$/);
      }
    }
  });

  it('names five holders of registers and counts the others', () => {
    const holders = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    expect(explainFull(holders).why).toBe('debug registers are taken, perhaps by a, b, c, d, e, and 2 more');
  });
});
