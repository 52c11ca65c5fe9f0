/** What `trapline doctor` tries, in the order of its table. */
export type CheckId =
  | 'user-write'
  | 'user-read-write'
  | 'user-execute'
  | 'kernel-mode'
  | 'new-threads'
  | 'whole-cpu'
  | 'kernel-address'
  | 'slots'
  | 'read-only'
  | 'bpf'
  | 'ptrace';

/**
 * `works`: it was fired, and what was expected came. `fails`: it was refused, or nothing came, or something else did.
 * `skipped`: there is nothing to fire here (the machine has no such thing, or what it needs is missing); not a fault.
 */
export type CheckOutcome = 'works' | 'fails' | 'skipped';

/** One path that was tried. */
export interface DoctorCheck {
  readonly id: CheckId;
  readonly title: string;
  readonly outcome: CheckOutcome;
  /** One line with the figures: hits seen and expected, the errno, the number of registers. */
  readonly detail: string;
  /** What stands in the way, one line in plain words. Always there when it fails; also when it works in part. */
  readonly why?: string;
  /** What would allow it, one line. There whenever `why` is. */
  readonly remedy?: string;
}

/** Effective capabilities of this process (`CapEff` of /proc/self/status). */
export interface CapabilityFacts {
  /** All of them as a mask: "0x…". */
  readonly effective: string;
  /** CAP_PERFMON (38). */
  readonly perfmon: boolean;
  /** CAP_SYS_ADMIN (21), which includes CAP_PERFMON. */
  readonly sysAdmin: boolean;
  /** CAP_SYS_PTRACE (19). */
  readonly sysPtrace: boolean;
  /** CAP_BPF (39). */
  readonly bpf: boolean;
}

/** What bears on breakpoints on this machine. A number or word that could not be read is absent. */
export interface DoctorFacts {
  /** Kernel release: "6.1.0-13-amd64". */
  readonly kernelRelease: string;
  readonly machine: 'x86_64' | 'aarch64';
  readonly cpuModel?: string;
  /** Number of online CPUs. */
  readonly onlineCpus: number;
  /** Node's version: "v20.20.0". */
  readonly node: string;
  readonly uid: number;
  readonly capabilities: CapabilityFacts;
  /** This process is in a user namespace of its own: its capabilities do not reach the machine's kernel. */
  readonly userNamespace: boolean;
  /** `kernel.perf_event_paranoid`. Absent: this kernel has no perf events, or /proc/sys cannot be read. */
  readonly perfEventParanoid?: number;
  /** `kernel.perf_event_mlock_kb`: ring memory that a user may have, in KiB a CPU. */
  readonly perfEventMlockKb?: number;
  /** `kernel.perf_event_max_sample_rate`, samples a second. */
  readonly perfEventMaxSampleRate?: number;
  /** `kernel.yama.ptrace_scope`, 0 to 3. Absent: the kernel is built without yama. */
  readonly yamaPtraceScope?: number;
  /** Seccomp mode of this process: system calls may be filtered. Absent: not told. */
  readonly seccomp?: 'none' | 'strict' | 'filter';
  /** `kernel.kptr_restrict`. */
  readonly kptrRestrict?: number;
  /** Whether /proc/kallsyms shows addresses to this process. */
  readonly kallsyms: 'addresses' | 'names only' | 'absent';
  /** The kernel's lockdown: "none", "integrity", "confidentiality". Absent: not built in, or not told. */
  readonly lockdown?: string;
  /** Signs of a container, in words; none: no sign. */
  readonly container: readonly string[];
  /** Signs of a virtual machine, in words; none: no sign. */
  readonly virtualMachine: readonly string[];
}

/**
 * What `trapline doctor` found; `trapline doctor --json` prints it as one JSON object of this shape. 64-bit values are
 * strings "0x…"; all other numbers are numbers; a field that does not apply is left out.
 */
export interface DoctorReport {
  /** Writes of user code to a watched word are seen: what `trapline watch` needs. Exit status 0 if so, else 1. */
  readonly watchWorks: boolean;
  /** One line: what can be expected of `trapline watch` here. */
  readonly verdict: string;
  /**
   * Debug registers that were free for watches of this thread, by kind; `shared`: the two kinds take from the same
   * registers. Absent: none could be opened.
   */
  readonly slots?: SlotCounts;
  readonly checks: readonly DoctorCheck[];
  readonly facts: DoctorFacts;
  /** How long the checks took, in milliseconds. */
  readonly durationMs: number;
}

/** Free debug registers, as counted by opening breakpoints until the kernel said ENOSPC. */
export interface SlotCounts {
  readonly data: number;
  readonly code: number;
  readonly shared: boolean;
}
