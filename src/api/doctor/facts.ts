import { hex } from '../../base/hex.ts';
import type { CapabilityFacts, DoctorFacts } from './report.ts';

/** Where facts come from. Every answer may be missing: facts are gathered on machines that hide them. */
export interface FactSources {
  /** A whole text file; `undefined` if it cannot be read. */
  text(path: string): string | undefined;
  /** The first bytes of a text file, for one that is long to make (/proc/kallsyms). */
  head(path: string): string | undefined;
  readonly kernelRelease: string;
  readonly machine: 'x86_64' | 'aarch64';
  readonly onlineCpus: number;
  readonly node: string;
  readonly uid: number;
}

/** Reads everything that bears on breakpoints. Throws nothing. */
export function gatherFacts(sources: FactSources): DoctorFacts {
  const status = sources.text('/proc/self/status') ?? '';
  const cpuinfo = sources.text('/proc/cpuinfo') ?? '';
  const number = (path: string): number | undefined => parseNumber(sources.text(path));
  return {
    kernelRelease: sources.kernelRelease,
    machine: sources.machine,
    ...present('cpuModel', cpuModel(cpuinfo)),
    onlineCpus: sources.onlineCpus,
    node: sources.node,
    uid: sources.uid,
    capabilities: parseCapabilities(status),
    userNamespace: isUserNamespace(sources.text('/proc/self/uid_map')),
    ...present('perfEventParanoid', number('/proc/sys/kernel/perf_event_paranoid')),
    ...present('perfEventMlockKb', number('/proc/sys/kernel/perf_event_mlock_kb')),
    ...present('perfEventMaxSampleRate', number('/proc/sys/kernel/perf_event_max_sample_rate')),
    ...present('yamaPtraceScope', number('/proc/sys/kernel/yama/ptrace_scope')),
    ...present('seccomp', parseSeccomp(status)),
    ...present('kptrRestrict', number('/proc/sys/kernel/kptr_restrict')),
    kallsyms: kallsymsFact(sources.head('/proc/kallsyms')),
    ...present('lockdown', /\[(\w+)\]/.exec(sources.text('/sys/kernel/security/lockdown') ?? '')?.[1]),
    container: containerSigns(sources),
    virtualMachine: virtualMachineSigns(sources, cpuinfo),
  };
}

/** `{ [name]: value }`, or nothing for `undefined`. */
function present<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { [name in Name]?: Value } {
  // The object has exactly the key `name`, which a computed key's type cannot tell.
  return value === undefined ? {} : ({ [name]: value } as { [name in Name]?: Value });
}

function parseNumber(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? '';
  return /^-?\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

function statusField(status: string, name: string): string | undefined {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
}

/** The effective capabilities in the text of /proc/self/status; none if they are not told. Source: capabilities(7). */
export function parseCapabilities(status: string): CapabilityFacts {
  const text = statusField(status, 'CapEff') ?? '0';
  const mask = /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : 0n;
  const has = (bit: bigint): boolean => ((mask >> bit) & 1n) === 1n;
  return { effective: hex(mask), perfmon: has(38n), sysAdmin: has(21n), sysPtrace: has(19n), bpf: has(39n) };
}

function parseSeccomp(status: string): 'none' | 'strict' | 'filter' | undefined {
  const modes: Readonly<Record<string, 'none' | 'strict' | 'filter'>> = {
    0: 'none',
    1: 'strict',
    2: 'filter',
  };
  return modes[statusField(status, 'Seccomp') ?? ''];
}

/** The initial namespace maps all 2^32 - 1 ids onto themselves. Source: user_namespaces(7). */
function isUserNamespace(uidMap: string | undefined): boolean {
  if (uidMap === undefined || uidMap.trim() === '') return false;
  return uidMap.trim().replace(/\s+/g, ' ') !== '0 0 4294967295';
}

function cpuModel(cpuinfo: string): string | undefined {
  return /^(?:model name|Model)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim();
}

function kallsymsFact(head: string | undefined): DoctorFacts['kallsyms'] {
  if (head === undefined || head === '') return 'absent';
  return /^0*[1-9a-f][0-9a-f]* /im.test(head) ? 'addresses' : 'names only';
}

const containerWords = /docker|containerd|libpod|podman|kubepods|lxc|garden|crio/;

function containerSigns(sources: FactSources): string[] {
  const signs: string[] = [];
  if (sources.text('/.dockerenv') !== undefined) signs.push('/.dockerenv');
  if (sources.text('/run/.containerenv') !== undefined) signs.push('/run/.containerenv');
  const named = /(?:^|\0)container=([^\0]+)/.exec(sources.text('/proc/1/environ') ?? '')?.[1];
  if (named !== undefined) signs.push(`container=${named} in the environment of process 1`);
  const word = containerWords.exec(sources.text('/proc/self/cgroup') ?? '')?.[0];
  if (word !== undefined) signs.push(`${word} in /proc/self/cgroup`);
  if (rootFileSystem(sources.text('/proc/self/mountinfo') ?? '') === 'overlay') signs.push('overlay root');
  return signs;
}

/** Type of the file system at `/`: the word after " - " of its line. Source: proc(5), "/proc/pid/mountinfo". */
function rootFileSystem(mountinfo: string): string | undefined {
  return /^\d+ \d+ \S+ \S+ \/ .* - (\S+)/m.exec(mountinfo)?.[1];
}

const virtualVendors =
  /qemu|kvm|vmware|virtualbox|innotek|xen|bochs|parallels|amazon ec2|google compute|openstack|virtual machine|bhyve/i;

function virtualMachineSigns(sources: FactSources, cpuinfo: string): string[] {
  const signs: string[] = [];
  if (/^flags\s*:.*\bhypervisor\b/m.test(cpuinfo)) signs.push('CPU flag "hypervisor"');
  for (const name of ['sys_vendor', 'product_name']) {
    const value = sources.text(`/sys/class/dmi/id/${name}`)?.trim() ?? '';
    if (virtualVendors.test(value)) signs.push(`${name} "${value}"`);
  }
  const hypervisor = sources.text('/sys/hypervisor/type')?.trim();
  if (hypervisor !== undefined && hypervisor !== '') signs.push(`/sys/hypervisor/type "${hypervisor}"`);
  if (sources.text('/proc/device-tree/hypervisor/compatible') !== undefined)
    signs.push('device tree has a hypervisor');
  if (/microsoft/i.test(sources.kernelRelease)) signs.push('Windows Subsystem for Linux');
  return signs;
}
