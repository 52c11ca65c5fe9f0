import type { CheckId, DoctorCheck, SlotCounts } from './report.ts';

/** One line: what can be expected of `trapline watch` after these checks. */
export function verdictOf(checks: readonly DoctorCheck[], slots: SlotCounts | undefined): string {
  const works = (id: CheckId): boolean =>
    checks.some((check) => check.id === id && check.outcome === 'works');
  const userWrite = checks.find((check) => check.id === 'user-write');
  if (userWrite?.outcome !== 'works') {
    return `watch does not work here: ${userWrite?.why ?? userWrite?.detail ?? 'it was not tried'}`;
  }
  const parts: string[] = [];
  if (slots !== undefined) parts.push(registers(slots));
  parts.push(works('kernel-mode') ? 'user and kernel mode' : 'user mode only');
  if (works('whole-cpu')) parts.push('whole CPUs');
  if (works('kernel-address')) parts.push('kernel addresses');
  return `watch works here: ${parts.join(', ')}`;
}

function registers({ data, code, shared }: SlotCounts): string {
  const plural = (count: number): string => (count === 1 ? 'register' : 'registers');
  return shared ? `${data} ${plural(data)}` : `${data} data and ${code} code ${plural(code)}`;
}
