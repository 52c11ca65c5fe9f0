import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, type TestContext, vi } from 'vitest';
import type { ErrnoName } from '../../base/errno.ts';
import { type LinuxSurface, openLinuxSurface } from '../../linux/linux-surface.ts';
import type { Events } from '../../surface/events.ts';
import { HW_BREAKPOINT_R, HW_BREAKPOINT_X, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { type Answer, FakeEvents } from './doctor.test-support.ts';
import { doctor } from './doctor.ts';
import type { CheckId, DoctorCheck, DoctorReport } from './report.ts';

/** Skips a running test, with the reason printed. */
function skipped(context: { skip(note?: string): void }, reason: string): void {
  console.info(`skipped: ${reason}`);
  context.skip(reason);
}

const surface: LinuxSurface = openLinuxSurface();

function check(report: DoctorReport, id: CheckId): DoctorCheck {
  const found = report.checks.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no check ${id}`);
  return found;
}

function diagnose(events: Events): Promise<DoctorReport> {
  return doctor({ ...surface, events });
}

/** A breakpoint on an address of this machine's kernel, or with hits of kernel mode. */
const ofKernel = (attr: PerfEventAttr): boolean => attr.excludeKernel !== true;

const openFds = (): string[] =>
  fs
    .readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return `${fd} ${fs.readlinkSync(`/proc/self/fd/${fd}`)}`;
      } catch {
        return ''; // of the listing itself
      }
    })
    .filter((line) => line !== '');
const perfFds = (): string[] => openFds().filter((line) => line.includes('perf_event'));
const children = (): string => fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
/** Rings that are mapped. */
const mappedRings = (): number =>
  fs
    .readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('perf_event')).length;

describe('doctor on this machine', () => {
  let report: DoctorReport;
  beforeEach(async () => {
    report = await doctor(surface);
  });
  const needsWatch = (context: TestContext): void => {
    if (report.watchWorks) return;
    console.info(`skipped: ${report.verdict}`);
    context.skip(report.verdict);
  };

  it('tries every path once and explains each failure', () => {
    expect(report.checks.map(({ id }) => id)).toEqual([
      'user-write',
      'user-read-write',
      'user-execute',
      'new-threads',
      'kernel-mode',
      'whole-cpu',
      'kernel-address',
      'slots',
      'read-only',
      'bpf',
      'ptrace',
    ]);
    for (const { outcome, why, remedy } of report.checks) {
      if (outcome !== 'fails') continue;
      expect(why).toMatch(/^[^\n]+$/);
      expect(remedy).toMatch(/^[^\n]+$/);
    }
    expect(report.watchWorks).toBe(check(report, 'user-write').outcome === 'works');
  });

  it('counts user accesses one for one', (context) => {
    needsWatch(context);
    expect(check(report, 'user-write')).toMatchObject({
      outcome: 'works',
      detail: '64 of 64 hits (64 stores), 64 of 64 samples',
    });
    expect(check(report, 'user-read-write')).toMatchObject({
      outcome: 'works',
      detail: expect.stringMatching(/^64 of 64 /),
    });
    expect(check(report, 'user-execute')).toMatchObject({
      outcome: 'works',
      detail: expect.stringMatching(/^64 of 64 /),
    });
    expect(check(report, 'new-threads')).toMatchObject({
      outcome: 'works',
      detail: expect.stringMatching(/^64 of 64 /),
    });
  });

  it('counts the free registers and sees each of them fire', (context) => {
    needsWatch(context);
    expect(check(report, 'slots').outcome).toBe('works');
    expect(report.slots?.data).toBeGreaterThan(0);
    if (surface.kernel.machine !== 'x86_64') return;
    expect(report.slots?.shared).toBe(true);
    expect(report.slots?.data).toBeLessThanOrEqual(4); // others may hold some
    expect(check(report, 'read-only')).toMatchObject({
      outcome: 'skipped',
      detail: expect.stringContaining('EINVAL'),
    });
  });

  it('sees the kernel write to user memory where it may', (context) => {
    needsWatch(context);
    const { capabilities, userNamespace, perfEventParanoid } = report.facts;
    const privileged = (capabilities.perfmon || capabilities.sysAdmin) && !userNamespace;
    if (privileged || (perfEventParanoid ?? 2) <= 1) {
      expect(check(report, 'kernel-mode').outcome).toBe('works');
    } else {
      expect(check(report, 'kernel-mode').why).toContain('perf_event_paranoid');
    }
  });

  it('sees a bpf program count, read and drop where it may be loaded', (context) => {
    needsWatch(context);
    const { capabilities, userNamespace } = report.facts;
    const mayLoad = !userNamespace && (capabilities.sysAdmin || (capabilities.bpf && capabilities.perfmon));
    const { outcome, detail, why } = check(report, 'bpf');
    if (mayLoad)
      expect([outcome, detail]).toEqual([
        'works',
        '64 of 64 hits (64 stores) seen by a program, values read in the trap, samples dropped',
      ]);
    else expect(why).toContain('CAP_BPF');
  });

  it('never claims a kernel address that did not fire', () => {
    const { outcome, detail } = check(report, 'kernel-address');
    if (outcome === 'works') expect(detail).toMatch(/^[1-9]\d* hits? /);
  });

  it('is plain JSON, with 64-bit values as 0x…', () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report.facts.capabilities.effective).toMatch(/^0x[0-9a-f]+$/);
  });

  it('leaves no file descriptor, ring, child or memory behind', async () => {
    const fds = openFds();
    const mappings = mappedRings();
    const before = children();
    const { ffi } = surface.system;
    const mmap = vi.spyOn(ffi, 'mmap');
    const munmap = vi.spyOn(ffi, 'munmap');
    for (let i = 0; i < 3; i++) await doctor(surface);
    const mapped = mmap.mock.results.map(({ value }) => value).sort();
    const unmapped = munmap.mock.calls.map(([address]) => address).sort();
    vi.restoreAllMocks();
    expect(mapped.length).toBeGreaterThan(0);
    expect(unmapped).toEqual(mapped);
    expect(openFds()).toEqual(fds);
    expect(mappedRings()).toBe(mappings);
    expect(children()).toBe(before);
  });
});

describe('doctor on a kernel that refuses', () => {
  afterEach(() => {
    expect(perfFds()).toEqual([]);
  });

  const refusals: readonly ErrnoName[] = [
    'EACCES',
    'EPERM',
    'ENOSYS',
    'ENOENT',
    'EOPNOTSUPP',
    'EINVAL',
    'ENOSPC',
    'EMFILE',
    'ENOMEM',
    'EBUSY',
  ];
  it.each(refusals)('reports %s of every event, and that watch does not work', async (code) => {
    const events = new FakeEvents({ decide: () => code });
    const report = await diagnose(events);
    expect(report.watchWorks).toBe(false);
    expect(report.verdict).toMatch(/^watch does not work here: ./);
    expect(check(report, 'user-write')).toMatchObject({ outcome: 'fails', detail: `refused: ${code}` });
    for (const { id, outcome, why, remedy } of report.checks) {
      if (id === 'ptrace' || id === 'read-only') continue;
      expect([id, outcome]).toEqual([id, 'fails']);
      expect(why).toMatch(/^[^\n]+$/);
      expect(remedy).toMatch(/^[^\n]+$/);
    }
    expect(report.slots).toBeUndefined();
    expect(events.openCount).toBe(0);
  });

  it('takes the refusal of a read-only watch for what it is', async () => {
    const events = new FakeEvents({
      decide: (attr) => (attr.bpType === HW_BREAKPOINT_R ? 'EINVAL' : 'silent'),
    });
    expect(check(await diagnose(events), 'read-only')).not.toHaveProperty('why');
  });

  it('reports events that are armed and never fire', async () => {
    const events = new FakeEvents({ decide: () => 'silent' });
    const report = await diagnose(events);
    expect(report.watchWorks).toBe(false);
    expect(check(report, 'user-write')).toMatchObject({
      outcome: 'fails',
      detail: '0 of 64 hits (64 stores)',
      why: expect.stringContaining('no debug exception came'),
    });
    for (const id of [
      'user-read-write',
      'user-execute',
      'new-threads',
      'kernel-mode',
      'whole-cpu',
      'slots',
    ] as const) {
      expect([id, check(report, id).outcome]).toEqual([id, 'fails']);
    }
    expect(check(report, 'kernel-address').outcome).toBe('skipped');
    expect(events.openCount).toBe(0);
  });

  it('reports a count that is not the number of accesses', async () => {
    const report = await diagnose(new FakeEvents({ decide: () => 'silent', count: 63n }));
    expect(check(report, 'user-write')).toMatchObject({
      outcome: 'fails',
      detail: '63 of 64 hits (64 stores)',
      why: expect.stringMatching(/^63 hits for 64 accesses/),
    });
  });

  it('reports hits that are counted and bring no sample', async () => {
    const report = await diagnose(new FakeEvents({ decide: () => 'silent', count: 64n }));
    expect(report.watchWorks).toBe(false);
    expect(check(report, 'user-write').why).toContain('0 samples for 64 stores');
  });

  it('reports a check that throws something else in one line, and goes on', async () => {
    const events: Events = {
      open: () => {
        throw new TypeError('something odd');
      },
      waitHangup: () => {
        throw new Error('not asked');
      },
      drain: () => {
        throw new Error('not asked');
      },
    };
    const report = await diagnose(events);
    expect(check(report, 'user-write')).toMatchObject({ outcome: 'fails', why: 'something odd' });
    expect(report.checks).toHaveLength(11);
  });

  it('skips everything on a surface without perf events', async () => {
    const { events: _, ...rest } = surface;
    const report = await doctor(rest);
    expect(report.watchWorks).toBe(false);
    expect(report.checks.every(({ outcome }) => outcome === 'skipped')).toBe(true);
  });

  it('skips ptrace where debug registers cannot be poked', async () => {
    const { debugRegisters: _, ...rest } = surface;
    const report = await doctor({ ...rest, events: new FakeEvents({ decide: () => 'ENOSYS' }) });
    expect(check(report, 'ptrace').outcome).toBe('skipped');
  });

  it('kills the child when its registers cannot be poked', async (context) => {
    const { debugRegisters } = surface;
    if (debugRegisters === undefined)
      return skipped(context, 'no ptrace debug registers on this architecture');
    const before = children();
    const report = await doctor({
      ...surface,
      events: new FakeEvents({ decide: () => 'ENOSYS' }),
      debugRegisters: {
        ...debugRegisters,
        poke: () => {
          throw new Error('the poke failed');
        },
      },
    });
    expect(check(report, 'ptrace')).toMatchObject({ outcome: 'fails', why: 'the poke failed' });
    expect(children()).toBe(before);
  });

  it('says that a child ran past its breakpoint', async (context) => {
    const { debugRegisters } = surface;
    if (debugRegisters === undefined)
      return skipped(context, 'no ptrace debug registers on this architecture');
    const report = await doctor({
      ...surface,
      events: new FakeEvents({ decide: () => 'ENOSYS' }),
      debugRegisters: { ...debugRegisters, poke: () => {} },
    });
    expect(check(report, 'ptrace')).toMatchObject({ outcome: 'fails', detail: 'the child ran to its end' });
  });
});

describe('doctor on a kernel that allows a part', () => {
  const withReal = (decide: (attr: PerfEventAttr, pid: number, open: number) => Answer): FakeEvents =>
    new FakeEvents({ real: surface.events, decide: (attr, { pid }, open) => decide(attr, pid, open) });
  beforeEach(async (context) => {
    const { watchWorks, verdict } = await doctor(surface);
    if (watchWorks) return;
    console.info(`skipped: ${verdict}`);
    context.skip(verdict);
  });
  afterEach(() => {
    expect(perfFds()).toEqual([]);
  });

  it('says user mode only when kernel mode and whole CPUs are refused', async () => {
    const events = withReal((attr, pid) => (ofKernel(attr) || pid === -1 ? 'EACCES' : 'real'));
    const report = await diagnose(events);
    expect(report.watchWorks).toBe(true);
    expect(report.verdict).toMatch(/^watch works here: \d registers?, user mode only$/);
    for (const id of ['kernel-mode', 'whole-cpu', 'kernel-address'] as const) {
      expect(check(report, id)).toMatchObject({ outcome: 'fails', detail: 'refused: EACCES' });
    }
    expect(events.openCount).toBe(0);
  });

  it('does not claim kernel addresses when only they stay silent', async (context) => {
    if (check(await doctor(surface), 'kernel-address').outcome !== 'works') {
      return skipped(context, 'kernel addresses cannot be fired here');
    }
    const inKernel = (attr: PerfEventAttr): boolean => (attr.bpAddr ?? 0n) >> 63n === 1n;
    const report = await diagnose(withReal((attr) => (inKernel(attr) ? 'silent' : 'real')));
    expect(check(report, 'kernel-address')).toMatchObject({
      outcome: 'fails',
      detail: expect.stringMatching(/^armed but not fired/),
    });
    expect(report.verdict).not.toContain('kernel addresses');
  });

  it('works with the registers that are left, and says that others hold the rest', async (context) => {
    if (surface.kernel.machine !== 'x86_64')
      return skipped(context, 'the number of registers is known on x86 alone');
    const report = await diagnose(withReal((_attr, _pid, open) => (open >= 2 ? 'ENOSPC' : 'real')));
    expect(check(report, 'slots')).toMatchObject({
      outcome: 'works',
      detail: expect.stringContaining('others hold 2 of the 4'),
      why: expect.stringContaining('debug registers are taken'),
      remedy: expect.any(String),
    });
    expect(report.slots).toEqual({ data: 2, code: 2, shared: true });
  });

  it('tells registers for code from those for data', async () => {
    let code = 0;
    let data = 0;
    const events = withReal((attr, _pid, open) => {
      if (open === 0) {
        code = 0;
        data = 0;
      }
      const isCode = attr.bpType === HW_BREAKPOINT_X;
      if (isCode ? code >= 2 : data >= 1) return 'ENOSPC';
      if (isCode) code++;
      else data++;
      return 'real';
    });
    const report = await diagnose(events);
    expect(report.slots).toEqual({ data: 1, code: 2, shared: false });
    expect(report.verdict).toContain('1 data and 2 code registers');
  });
});
