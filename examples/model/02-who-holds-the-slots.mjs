// Who holds the slots: every breakpoint is one perf event, whoever made it, so one list shows them all.
import { kernelBreakpointAttr, ModelHost, ModelSurface } from 'trapline/model';

const host = new ModelHost();
const surface = new ModelSurface(host);
const task = host.machine.spawn({ name: 'worker', cpu: 0 });

surface.events.open({ type: 5, bpType: 3, bpAddr: 0x1000n, bpLen: 4n }, { pid: task.pid, cpu: -1 });
surface.events.open(
  { type: 5, bpType: 4, bpAddr: 0x400000n, bpLen: 8n, disabled: true },
  { pid: task.pid, cpu: 1 },
);
const wide = host.core.registerWide({
  attr: kernelBreakpointAttr({ bpType: 2, bpLen: 4n }),
  symbol: 'kernel_data',
  handler: () => undefined,
});
host.machine.perform(task, { type: 'execute' });

for (const event of host.kernel.all) {
  const target =
    event.task === null
      ? `cpu ${event.cpu}`
      : `task ${event.task.name}${event.cpu < 0 ? '' : `, cpu ${event.cpu} only`}`;
  const place =
    event.oncpu < 0
      ? 'in no register'
      : `in DR${host.kernel.cpuState(event.oncpu).image.slots.indexOf(event)} of CPU ${event.oncpu}`;
  console.log(`event ${event.id}: 0x${(event.attr.bpAddr ?? 0n).toString(16)} on ${target}: ${place}`);
}
host.core.unregisterWide(wide);
surface.close();
