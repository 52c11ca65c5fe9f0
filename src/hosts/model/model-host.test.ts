import { describe, expect, it } from 'vitest';
import { kernelBreakpointAttr } from '../../kernel/core/breakpoint-core.ts';
import { encodePerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { ModelHost } from './model-host.ts';

describe('a model that is closed', () => {
  it('has closed the fds of "self" and ended every task', () => {
    const host = new ModelHost({ verify: true });
    const task = host.machine.spawn({ name: 'A' });
    const attr = { type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 8n };
    host.calls.files.addOther();
    host.kernel.call(() =>
      host.core.unregister(host.core.registerUser({ attr, task, handler: () => undefined })),
    );
    host.close();
    expect([...host.machine.tasks()]).toEqual([]);
  });

  it('has closed events that took the numbers of the standard streams', () => {
    const host = new ModelHost({ verify: true });
    host.calls.close(0);
    const attr = encodePerfEventAttr({ type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 8n });
    expect(host.calls.perfEventOpen({ attr, pid: 0, cpu: -1, groupFd: -1, flags: 0 })).toBe(0);
    host.close();
    expect(host.kernel.all.size).toBe(0);
  });

  it('tells of breakpoints that a client in the kernel left', () => {
    const host = new ModelHost();
    const wide = host.core.registerWide({
      attr: kernelBreakpointAttr({ bpType: 2, bpLen: 4n }),
      symbol: 'kernel_data',
      handler: () => undefined,
    });
    expect(() => host.close()).toThrow(/2 events are left/);
    host.core.unregisterWide(wide);
    host.close();
  });
});
