import { describe, expect, it } from 'vitest';
import { type FactSources, gatherFacts, parseCapabilities } from './facts.ts';

function sources(files: Readonly<Record<string, string>>, some: Partial<FactSources> = {}): FactSources {
  return {
    text: (path) => files[path],
    head: (path) => files[path]?.slice(0, 4096),
    kernelRelease: '6.1.0',
    machine: 'x86_64',
    onlineCpus: 2,
    node: 'v20.20.0',
    uid: 1000,
    ...some,
  };
}

describe('gatherFacts', () => {
  it('gives facts where nothing can be read', () => {
    const facts = gatherFacts(sources({}));
    expect(facts).toEqual({
      kernelRelease: '6.1.0',
      machine: 'x86_64',
      onlineCpus: 2,
      node: 'v20.20.0',
      uid: 1000,
      capabilities: { effective: '0x0', perfmon: false, sysAdmin: false, sysPtrace: false, bpf: false },
      userNamespace: false,
      kallsyms: 'absent',
      container: [],
      virtualMachine: [],
    });
  });

  it('reads the settings of the kernel', () => {
    const facts = gatherFacts(
      sources({
        '/proc/cpuinfo': 'model name\t: Some CPU @ 3 GHz\nflags\t\t: fpu vme\n',
        '/proc/sys/kernel/perf_event_paranoid': '-1\n',
        '/proc/sys/kernel/perf_event_mlock_kb': '516\n',
        '/proc/sys/kernel/perf_event_max_sample_rate': '100000\n',
        '/proc/sys/kernel/yama/ptrace_scope': '1\n',
        '/proc/sys/kernel/kptr_restrict': '2\n',
        '/proc/self/status': 'Name:\tx\nCapEff:\t0000000000000000\nSeccomp:\t2\n',
        '/proc/self/uid_map': '         0          0 4294967295\n',
        '/sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
      }),
    );
    expect(facts).toMatchObject({
      cpuModel: 'Some CPU @ 3 GHz',
      perfEventParanoid: -1,
      perfEventMlockKb: 516,
      perfEventMaxSampleRate: 100000,
      yamaPtraceScope: 1,
      kptrRestrict: 2,
      seccomp: 'filter',
      userNamespace: false,
      lockdown: 'integrity',
      virtualMachine: [],
    });
  });

  it('sees a user namespace in its map of ids', () => {
    expect(gatherFacts(sources({ '/proc/self/uid_map': '0 1000 1\n' })).userNamespace).toBe(true);
  });

  it('tells hidden addresses of kallsyms from those that are 0', () => {
    const hidden = '0000000000000000 T _text\n0000000000000000 T start\n';
    const shown = '0000000000000000 A per_cpu\nffffffff81000000 T _text\n';
    expect(gatherFacts(sources({ '/proc/kallsyms': hidden })).kallsyms).toBe('names only');
    expect(gatherFacts(sources({ '/proc/kallsyms': shown })).kallsyms).toBe('addresses');
  });

  it.each([
    [{ '/.dockerenv': '' }, '/.dockerenv'],
    [{ '/run/.containerenv': 'engine="podman"' }, '/run/.containerenv'],
    [{ '/proc/1/environ': 'A=b\0container=lxc\0C=d\0' }, 'container=lxc in the environment of process 1'],
    [{ '/proc/self/cgroup': '0::/kubepods/pod1\n' }, 'kubepods in /proc/self/cgroup'],
    [{ '/proc/self/mountinfo': '600 500 0:50 / / rw,relatime - overlay overlay rw\n' }, 'overlay root'],
  ])('sees a container in %j', (files, sign) => {
    expect(gatherFacts(sources(files as Record<string, string>)).container).toEqual([sign]); // each case has other keys
  });

  it.each([
    [{ '/proc/cpuinfo': 'flags\t\t: fpu hypervisor lahf_lm\n' }, 'CPU flag "hypervisor"'],
    [{ '/sys/class/dmi/id/sys_vendor': 'QEMU\n' }, 'sys_vendor "QEMU"'],
    [
      { '/sys/class/dmi/id/product_name': 'VMware Virtual Platform\n' },
      'product_name "VMware Virtual Platform"',
    ],
    [{ '/sys/hypervisor/type': 'xen\n' }, '/sys/hypervisor/type "xen"'],
  ])('sees a virtual machine in %j', (files, sign) => {
    expect(gatherFacts(sources(files as Record<string, string>)).virtualMachine).toEqual([sign]); // as above
  });

  it('sees the Windows Subsystem for Linux in the release', () => {
    const facts = gatherFacts(sources({}, { kernelRelease: '5.15.90.1-microsoft-standard-WSL2' }));
    expect(facts.virtualMachine).toEqual(['Windows Subsystem for Linux']);
  });

  it('does not take a vendor of real machines for a virtual one', () => {
    expect(gatherFacts(sources({ '/sys/class/dmi/id/sys_vendor': 'Dell Inc.\n' })).virtualMachine).toEqual(
      [],
    );
  });
});

describe('parseCapabilities', () => {
  it.each([
    [
      '000001fffeffffff',
      { effective: '0x1fffeffffff', perfmon: true, sysAdmin: true, sysPtrace: true, bpf: true },
    ],
    [
      '0000004000000000',
      { effective: '0x4000000000', perfmon: true, sysAdmin: false, sysPtrace: false, bpf: false },
    ],
    [
      '0000000000200000',
      { effective: '0x200000', perfmon: false, sysAdmin: true, sysPtrace: false, bpf: false },
    ],
    [
      '0000000000080000',
      { effective: '0x80000', perfmon: false, sysAdmin: false, sysPtrace: true, bpf: false },
    ],
    [
      '0000008000000000',
      { effective: '0x8000000000', perfmon: false, sysAdmin: false, sysPtrace: false, bpf: true },
    ],
  ])('decodes %s', (mask, expected) => {
    expect(parseCapabilities(`CapInh:\t0\nCapEff:\t${mask}\n`)).toEqual(expected);
  });
});
