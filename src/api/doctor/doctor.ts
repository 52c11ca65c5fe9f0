import fs from 'node:fs';
import os from 'node:os';
import { KernelError } from '../../base/kernel-error.ts';
import { findRegisterHolders } from '../../watch/register-holders.ts';
import { checkBpf } from './bpf-checks.ts';
import { explainFailure, type Failure, type Need } from './explain.ts';
import { type FactSources, gatherFacts } from './facts.ts';
import type { CheckContext, DoctorSurface, Finding } from './finding.ts';
import { checkKernelAddress, checkKernelMode, checkWholeCpu } from './kernel-checks.ts';
import { checkPtrace, checkReadOnly, checkSlots } from './register-checks.ts';
import type { CheckId, DoctorCheck, DoctorFacts, DoctorReport, SlotCounts } from './report.ts';
import { checkNewThreads, checkUserExecute, checkUserReadWrite, checkUserWrite } from './user-checks.ts';
import { verdictOf } from './verdict.ts';
import { ProbeMemory, StagedRefusal } from './workplace.ts';

interface CheckPlan {
  readonly id: CheckId;
  readonly title: string;
  readonly need: Need;
  readonly run: (context: CheckContext) => Finding | Promise<Finding>;
}

const plans: readonly CheckPlan[] = [
  { id: 'user-write', title: 'user write watch', need: 'user', run: checkUserWrite },
  { id: 'user-read-write', title: 'user read-write watch', need: 'user', run: checkUserReadWrite },
  { id: 'user-execute', title: 'user execute watch', need: 'user', run: checkUserExecute },
  { id: 'new-threads', title: 'threads created later', need: 'new-threads', run: checkNewThreads },
  { id: 'kernel-mode', title: 'kernel writes to user memory', need: 'kernel-mode', run: checkKernelMode },
  { id: 'whole-cpu', title: 'whole CPUs', need: 'whole-cpu', run: checkWholeCpu },
  { id: 'kernel-address', title: 'kernel addresses', need: 'kernel-address', run: checkKernelAddress },
  { id: 'slots', title: 'debug registers', need: 'user', run: checkSlots },
  { id: 'read-only', title: 'read-only watch', need: 'user', run: checkReadOnly },
  { id: 'bpf', title: 'bpf programs at hits', need: 'bpf', run: checkBpf },
  { id: 'ptrace', title: 'ptrace debug registers', need: 'ptrace', run: checkPtrace },
];

/**
 * Fires every kind of breakpoint once and tells what came. Takes some tens of milliseconds; leaves no event, process,
 * memory or register behind. Nothing that the kernel answers is thrown: it is in the report. The registers are shared
 * with everything on the machine, so a watch that others arm meanwhile may be missed in the count of free ones.
 */
export async function doctor(surface: DoctorSurface): Promise<DoctorReport> {
  const startedMs = performance.now();
  const facts = gatherFacts(machineSources(surface));
  const checks: DoctorCheck[] = [];
  let slots: SlotCounts | undefined;
  const { events } = surface;
  if (events === undefined) {
    for (const { id, title } of plans) {
      checks.push({ id, title, outcome: 'skipped', detail: 'this surface has no perf events' });
    }
  } else {
    const memory = new ProbeMemory(surface.system);
    let found: string[] | undefined;
    const holders = (): string[] => {
      found ??= findRegisterHolders(surface);
      return found;
    };
    const context: CheckContext = { surface, events, memory, holders };
    try {
      for (const plan of plans) {
        const finding = await runCheck(plan, context);
        if (finding.outcome === 'works' && finding.slots !== undefined) slots = finding.slots;
        checks.push(checkOf(plan, finding, facts));
      }
    } finally {
      memory.close();
    }
  }
  const watchWorks = checks.some((check) => check.id === 'user-write' && check.outcome === 'works');
  const durationMs = Math.round(performance.now() - startedMs);
  const verdict = verdictOf(checks, slots);
  return { watchWorks, verdict, ...(slots === undefined ? {} : { slots }), checks, facts, durationMs };
}

async function runCheck(plan: CheckPlan, context: CheckContext): Promise<Finding> {
  try {
    return await plan.run(context);
  } catch (error) {
    const failure = failureOf(error, context);
    const detail = failure.type === 'refused' ? `refused: ${codeOf(error)}` : 'could not be tried';
    return { outcome: 'fails', detail, failure };
  }
}

function codeOf(error: unknown): string {
  if (error instanceof StagedRefusal) return error.refusal.code;
  return error instanceof KernelError ? error.code : 'an unknown error';
}

function failureOf(error: unknown, context: CheckContext): Failure {
  const refusal = error instanceof StagedRefusal ? error.refusal : error;
  if (!(refusal instanceof KernelError)) {
    return { type: 'unexpected', message: error instanceof Error ? error.message : String(error) };
  }
  return {
    type: 'refused',
    stage: error instanceof StagedRefusal ? error.stage : 'other',
    errno: refusal.errno,
    operation: refusal.operation,
    ...(refusal.code === 'ENOSPC' ? { holders: context.holders() } : {}),
  };
}

function checkOf({ id, title, need }: CheckPlan, finding: Finding, facts: DoctorFacts): DoctorCheck {
  const { outcome, detail } = finding;
  switch (outcome) {
    case 'works':
      return { id, title, outcome, detail, ...finding.partly };
    case 'skipped':
      return { id, title, outcome, detail };
    case 'fails':
      return { id, title, outcome, detail, ...explainFailure(finding.failure, need, facts) };
  }
}

/** The files and calls of this machine that facts are read from. */
function machineSources(surface: DoctorSurface): FactSources {
  return {
    text: (path) => {
      try {
        return surface.files?.text(path);
      } catch {
        return undefined; // not there, or not for this user
      }
    },
    head: (path) => {
      let fd: number | undefined;
      try {
        fd = fs.openSync(path, 'r');
        const bytes = Buffer.alloc(4096);
        return bytes.toString('utf8', 0, fs.readSync(fd, bytes));
      } catch {
        return undefined;
      } finally {
        if (fd !== undefined) fs.closeSync(fd);
      }
    },
    kernelRelease: os.release(),
    machine: surface.kernel.machine,
    onlineCpus: surface.tasks?.cpus.length ?? os.cpus().length,
    node: process.version,
    uid: process.geteuid?.() ?? 0,
  };
}
