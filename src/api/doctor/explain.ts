import { unreachable } from '../../base/assert.ts';
import { errnoName, errnoValues } from '../../base/errno.ts';
import type { DoctorFacts } from './report.ts';

/** What a path asks of the kernel; who may have it differs. */
export type Need = 'user' | 'new-threads' | 'kernel-mode' | 'whole-cpu' | 'kernel-address' | 'ptrace' | 'bpf';

/** At which call a path was refused: opening the event, mapping its ring, tracing a child, bpf(2), anything else. */
export type Stage = 'open' | 'ring' | 'ptrace' | 'bpf' | 'other';

/** How a path failed. */
export type Failure =
  /** A system call said no. `holders`: who may hold the registers, for ENOSPC. */
  | {
      readonly type: 'refused';
      readonly stage: Stage;
      readonly errno: number;
      readonly operation: string;
      readonly holders?: readonly string[];
    }
  /** It was armed, what it watches happened, and no hit came. */
  | { readonly type: 'silent' }
  /** Hits came, but not as many as there were accesses. */
  | { readonly type: 'miscounted'; readonly seen: number; readonly expected: number }
  /** Hits were counted, but the ring did not get them right: what is wrong with it. */
  | { readonly type: 'bad samples'; readonly problem: string }
  /** Something that is no answer of the kernel. */
  | { readonly type: 'unexpected'; readonly message: string };

/** One line each. */
export interface Explanation {
  readonly why: string;
  readonly remedy: string;
}

const pleaseReport = 'please report this with the output of trapline doctor --json';
const lookForDenial =
  'look for the denial in the kernel log (journalctl -k, ausearch -m avc), or try outside the sandbox';

/** How many holders of registers a message names. */
const mostHolders = 5;

/** Why a path failed, in plain words, and what would allow it. Decided from the failure and the facts alone. */
export function explainFailure(failure: Failure, need: Need, facts: DoctorFacts): Explanation {
  switch (failure.type) {
    case 'refused':
      return explainRefused(failure, need, facts);
    case 'silent':
      return explainSilent(need, facts);
    case 'miscounted':
      return {
        why: `${failure.seen} hits for ${failure.expected} accesses: the debug exceptions of this machine do not come one for one`,
        remedy: `${otherMachine(facts)}; hits that are reported here may be too few or too many`,
      };
    case 'bad samples':
      return {
        why: `hits are counted, but their samples are not as they should be: ${failure.problem}`,
        remedy:
          'counting (trapline stat) may still work; please report this with the output of trapline doctor --json',
      };
    case 'unexpected':
      return {
        why: failure.message,
        remedy: pleaseReport,
      };
    default:
      return unreachable(failure);
  }
}

function explainRefused(failure: Failure & { type: 'refused' }, need: Need, facts: DoctorFacts): Explanation {
  switch (failure.errno) {
    case errnoValues.EMFILE:
    case errnoValues.ENFILE:
      return {
        why: `too many files are open (${errnoName(failure.errno)})`,
        remedy: 'raise the limit (ulimit -n), or close some',
      };
    case errnoValues.ENOSPC:
      return explainFull(failure.holders ?? []);
  }
  switch (failure.stage) {
    case 'open':
      return explainOpen(failure, need, facts);
    case 'ring':
      return explainRing(failure, facts);
    case 'ptrace':
      return explainPtrace(failure, facts);
    case 'bpf':
      return explainBpf(failure, facts);
    case 'other':
      return explainAnswer(failure);
    default:
      return unreachable(failure.stage);
  }
}

/** A refusal of which nothing more is known. */
function explainAnswer({ operation, errno }: Failure & { type: 'refused' }): Explanation {
  return { why: `${operation} answered ${errnoName(errno)}`, remedy: pleaseReport };
}

function explainOpen(failure: Failure & { type: 'refused' }, need: Need, facts: DoctorFacts): Explanation {
  switch (failure.errno) {
    case errnoValues.EACCES:
    case errnoValues.EPERM:
      return explainPermission(failure.errno, need, facts);
    case errnoValues.ENOSYS:
      if (facts.seccomp === 'filter') return explainSeccomp('perf_event_open', 'PERFMON', facts);
      return {
        why: 'this kernel has no perf_event_open: it is built without CONFIG_PERF_EVENTS, or is an imitation such as gVisor or WSL 1',
        remedy: 'a Linux kernel with perf events, as every common distribution has',
      };
    case errnoValues.ENOENT:
    case errnoValues.EOPNOTSUPP:
    case errnoValues.ENODEV:
      if (need === 'whole-cpu' && failure.errno === errnoValues.ENODEV) {
        return { why: 'a CPU went offline meanwhile (ENODEV)', remedy: 'try again' };
      }
      return {
        why: `this kernel or CPU offers no hardware breakpoints of this kind (${errnoName(failure.errno)})`,
        remedy: otherMachine(facts),
      };
    case errnoValues.EINVAL:
      return {
        why: `the kernel takes no breakpoint of this kind (EINVAL: ${failure.operation})`,
        remedy: otherMachine(facts),
      };
    default:
      return explainAnswer(failure);
  }
}

/** The highest `kernel.perf_event_paranoid` at which anyone may have it. Source: perf_event_open(2). */
const paranoidLimits = { user: 2, bpf: 2, 'new-threads': 2, 'kernel-mode': 1, 'whole-cpu': 0 } as const;
const paranoidWords = {
  bpf: "watching one's own processes",
  user: "watching one's own processes",
  'new-threads': "watching one's own processes",
  'kernel-mode': 'watching kernel mode',
  'whole-cpu': 'watching whole CPUs',
} as const;

function explainPermission(errno: number, need: Need, facts: DoctorFacts): Explanation {
  const { capabilities, userNamespace, perfEventParanoid: paranoid } = facts;
  const sysAdmin = capabilities.sysAdmin && !userNamespace;
  const perfmon = (capabilities.perfmon && !userNamespace) || sysAdmin;
  const inNamespace =
    userNamespace && (capabilities.perfmon || capabilities.sysAdmin)
      ? ' (the capabilities of this process count only inside its user namespace)'
      : '';
  const outside = userNamespace ? ' outside the user namespace' : '';
  if (need === 'kernel-address' && !sysAdmin) {
    return {
      why: `watching a kernel address needs CAP_SYS_ADMIN, at any kernel.perf_event_paranoid${inNamespace}`,
      remedy: `run as root${outside}`,
    };
  }
  // The kernel itself answers a lack of rights to perf events with EACCES.
  if (errno === errnoValues.EPERM && facts.seccomp === 'filter') {
    return explainSeccomp('perf_event_open', 'PERFMON', facts);
  }
  if (need === 'kernel-address' && facts.lockdown === 'confidentiality') {
    return {
      why: 'the kernel is locked down (confidentiality): it does not show the registers of kernel mode',
      remedy: 'boot without lockdown=confidentiality (Secure Boot may turn it on)',
    };
  }
  if (need !== 'kernel-address' && need !== 'ptrace' && !perfmon) {
    const limit = paranoidLimits[need];
    if (paranoid !== undefined && paranoid > limit) {
      return {
        why: `kernel.perf_event_paranoid is ${paranoid}: ${paranoidWords[need]} without CAP_PERFMON needs level ${limit} or below${inNamespace}`,
        remedy: `run as root or with CAP_PERFMON${outside}, or: sudo sysctl kernel.perf_event_paranoid=${limit}${facts.container.length > 0 ? ' (on the host)' : ''}`,
      };
    }
  }
  if (!perfmon && paranoid === undefined) {
    return {
      why: `not permitted (${errnoName(errno)}); kernel.perf_event_paranoid, which decides, cannot be read here${inNamespace}`,
      remedy: `run as root or with CAP_PERFMON${outside}`,
    };
  }
  return {
    why: `not permitted (${errnoName(errno)}), although the capabilities and kernel.perf_event_paranoid would allow it: a security module (SELinux, AppArmor, bpf) or a sandbox says no`,
    remedy: lookForDenial,
  };
}

function explainSeccomp(call: string, capability: string, facts: DoctorFacts): Explanation {
  return facts.container.length > 0
    ? {
        why: `the container's seccomp profile forbids ${call}`,
        remedy: `start the container with --cap-add ${capability}, or with --security-opt seccomp=PROFILE that allows ${call}`,
      }
    : {
        why: `a seccomp filter on this process forbids ${call}`,
        remedy:
          "start it outside the sandbox that sets the filter (a systemd unit's SystemCallFilter=, snap, flatpak)",
      };
}

function explainPtrace(failure: Failure & { type: 'refused' }, facts: DoctorFacts): Explanation {
  const { errno } = failure;
  if (errno === errnoValues.ENOSYS && facts.seccomp === 'filter') {
    return explainSeccomp('ptrace', 'SYS_PTRACE', facts);
  }
  if (errno !== errnoValues.EPERM) return explainAnswer(failure);
  const scope = facts.yamaPtraceScope ?? 0;
  if (scope === 3) {
    return {
      why: 'kernel.yama.ptrace_scope is 3: nobody may trace until the next boot',
      remedy: 'boot with kernel.yama.ptrace_scope at 1 or below',
    };
  }
  if (scope === 2 && !facts.capabilities.sysPtrace) {
    return {
      why: 'kernel.yama.ptrace_scope is 2: tracing needs CAP_SYS_PTRACE',
      remedy: 'run as root or with CAP_SYS_PTRACE, or: sudo sysctl kernel.yama.ptrace_scope=1',
    };
  }
  if (facts.seccomp === 'filter') return explainSeccomp('ptrace', 'SYS_PTRACE', facts);
  return {
    why: `tracing a child is not permitted (${failure.operation}: EPERM): a security module or a sandbox says no`,
    remedy: lookForDenial,
  };
}

/** Source: capabilities(7), bpf(2). */
function explainBpf(failure: Failure & { type: 'refused' }, facts: DoctorFacts): Explanation {
  const { errno } = failure;
  const { capabilities, userNamespace } = facts;
  if (errno === errnoValues.ENOSYS && facts.seccomp === 'filter') return explainSeccomp('bpf', 'BPF', facts);
  if (errno === errnoValues.ENOSYS)
    return {
      why: 'this kernel has no bpf(2)',
      remedy: 'a kernel with CONFIG_BPF_SYSCALL; trapline works without',
    };
  if (errno !== errnoValues.EPERM && errno !== errnoValues.EACCES) return explainAnswer(failure);
  const allowed = !userNamespace && (capabilities.sysAdmin || (capabilities.bpf && capabilities.perfmon));
  if (!allowed)
    return {
      why: 'bpf programs need CAP_BPF and CAP_PERFMON: conditions and limits are kept outside the kernel without',
      remedy: `run as root or with these capabilities${userNamespace ? ' outside the user namespace' : ''}`,
    };
  if (facts.seccomp === 'filter') return explainSeccomp('bpf', 'BPF', facts);
  return {
    why: `not permitted (${failure.operation}: ${errnoName(errno)}), although the capabilities would allow it: a security module, a lockdown or a sandbox says no`,
    remedy: lookForDenial,
  };
}

function explainRing(failure: Failure & { type: 'refused' }, facts: DoctorFacts): Explanation {
  if (failure.errno !== errnoValues.EPERM && failure.errno !== errnoValues.ENOMEM) {
    return explainAnswer(failure);
  }
  const budget = facts.perfEventMlockKb === undefined ? '' : ` (${facts.perfEventMlockKb} KiB a CPU)`;
  return {
    why: `the memory for rings is used up: a user has kernel.perf_event_mlock_kb${budget} and the limit of locked memory`,
    remedy:
      'end other perf sessions of this user, raise kernel.perf_event_mlock_kb or ulimit -l, or run with CAP_PERFMON',
  };
}

/** Also for a machine where only some registers are free. */
export function explainFull(holders: readonly string[]): Explanation {
  const more = holders.length > mostHolders ? `, and ${holders.length - mostHolders} more` : '';
  return {
    why:
      holders.length === 0
        ? 'debug registers are taken, and no holder can be seen from here (a debugger or perf of another user or container?)'
        : `debug registers are taken, perhaps by ${holders.slice(0, mostHolders).join(', ')}${more}`,
    remedy: 'end the debugger or perf session that holds them',
  };
}

const silentWords: Readonly<Record<Need, string>> = {
  user: 'the kernel armed it, but no debug exception came',
  'new-threads': 'the kernel armed it, but a thread that was created afterwards gave no hit',
  'kernel-mode': 'the kernel armed it, but its own write to the watched word gave no hit',
  'whole-cpu': 'the kernel armed it on every CPU, but no hit came',
  'kernel-address': 'armed but not fired: the kernel read the watched word, and no hit came',
  ptrace: 'the registers took the breakpoint, but the child ran past it',
  bpf: 'the kernel took the program, but it saw no hit',
};

/** What a hypervisor would keep back. Whole CPUs and new threads get the same exceptions as the plain user watch. */
const exceptionWords: Readonly<Record<Need, string | undefined>> = {
  user: 'debug exceptions',
  'new-threads': undefined,
  'kernel-mode': 'debug exceptions of kernel mode',
  'whole-cpu': undefined,
  'kernel-address': 'debug exceptions of kernel mode',
  ptrace: 'debug exceptions',
  bpf: undefined,
};

function explainSilent(need: Need, facts: DoctorFacts): Explanation {
  const exceptions = exceptionWords[need];
  const because =
    exceptions === undefined
      ? ''
      : facts.virtualMachine.length > 0
        ? `: most likely the hypervisor does not deliver ${exceptions}`
        : ', and there is no sign of a hypervisor that could keep it back';
  return { why: `${silentWords[need]}${because}`, remedy: otherMachine(facts) };
}

function otherMachine(facts: DoctorFacts): string {
  return facts.virtualMachine.length > 0
    ? 'a machine without a hypervisor, or one whose hypervisor gives its guests debug registers'
    : 'another machine or kernel; please report this one, with the output of trapline doctor --json';
}
