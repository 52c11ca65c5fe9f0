import { doctor } from '../api/doctor/doctor.ts';
import type { DoctorCheck, DoctorFacts, DoctorReport } from '../api/doctor/report.ts';
import { machineSurface } from '../api/machine-surface.ts';

/**
 * `trapline doctor`: tries everything and prints one table, or with `json` the report ({@link DoctorReport}) as one
 * JSON object. The exit status: 0 if `trapline watch` can work here, else 1.
 */
export async function doctorCommand(
  options: { readonly json: boolean },
  write: (text: string) => void,
): Promise<number> {
  const surface = machineSurface();
  try {
    const report = await doctor(surface);
    write(options.json ? `${JSON.stringify(report, null, 2)}\n` : doctorText(report));
    return report.watchWorks ? 0 : 1;
  } finally {
    surface.close();
  }
}

/** The report for reading: the table, why what failed failed, the facts, the verdict. Ends with a newline. */
export function doctorText(report: DoctorReport): string {
  return [...checkLines(report.checks), '', ...factLines(report.facts), '', report.verdict, ''].join('\n');
}

function checkLines(checks: readonly DoctorCheck[]): string[] {
  const width = Math.max(...checks.map(({ title }) => title.length));
  const explained = new Map<string, string>();
  return checks.flatMap(({ title, outcome, detail, why, remedy }) => {
    const lines = [`${title.padEnd(width)}  ${outcome.padEnd(7)}  ${detail}`];
    if (why === undefined || remedy === undefined) return lines;
    const same = explained.get(why + remedy);
    if (same !== undefined) return [...lines, `    why: as for "${same}"`];
    explained.set(why + remedy, title);
    return [...lines, `    why: ${why}`, `    remedy: ${remedy}`];
  });
}

function factLines(facts: DoctorFacts): string[] {
  const { capabilities: caps } = facts;
  const held = [
    ...(caps.perfmon ? ['CAP_PERFMON'] : []),
    ...(caps.sysAdmin ? ['CAP_SYS_ADMIN'] : []),
    ...(caps.sysPtrace ? ['CAP_SYS_PTRACE'] : []),
    ...(caps.bpf ? ['CAP_BPF'] : []),
  ];
  const number = (value: number | undefined): string => (value === undefined ? 'not told' : String(value));
  const signs = (values: readonly string[]): string => (values.length === 0 ? 'no sign' : values.join(', '));
  const rows: [string, string][] = [
    ['kernel', `Linux ${facts.kernelRelease} ${facts.machine}, Node ${facts.node}`],
    ['CPU', `${facts.cpuModel ?? 'model not told'}, ${facts.onlineCpus} online`],
    ['user', `uid ${facts.uid}${facts.userNamespace ? ' of a user namespace' : ''}`],
    ['capabilities', held.length === 0 ? 'none that matter' : held.join(', ')],
    ['perf_event_paranoid', number(facts.perfEventParanoid)],
    ['perf_event_mlock_kb', number(facts.perfEventMlockKb)],
    ['perf_event_max_sample_rate', number(facts.perfEventMaxSampleRate)],
    [
      'yama ptrace_scope',
      facts.yamaPtraceScope === undefined ? 'not built in' : String(facts.yamaPtraceScope),
    ],
    ['seccomp', facts.seccomp ?? 'not told'],
    ['lockdown', facts.lockdown ?? 'not built in or not told'],
    ['kptr_restrict', number(facts.kptrRestrict)],
    ['kallsyms', facts.kallsyms],
    ['container', signs(facts.container)],
    ['virtual machine', signs(facts.virtualMachine)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}
