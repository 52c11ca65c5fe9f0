// A breakpoint on some CPUs only: all of the mask or none, and each CPU counts for itself.
import { KernelError, kernelBreakpointAttr, ModelHost } from 'trapline/model';

const host = new ModelHost({ cpus: 4 });
const hits = new Map();
const request = (cpus) => ({
  attr: kernelBreakpointAttr({ bpType: 2, bpLen: 4n }),
  symbol: 'kernel_data',
  cpus,
  handler: (event) => hits.set(event.cpu, (hits.get(event.cpu) ?? 0) + 1),
});

const wides = [host.core.registerWide(request([1, 3]))];
const address = host.machine.symbol('kernel_data');
for (const cpu of host.machine.cpus)
  cpu.kernelAccess(Number(address & 0xffffffffn), Number(address >> 32n), 4, {
    store: true,
    ip: 0xffffffff81000000n,
  });
console.log(`hits by CPU: ${[...hits].map(([cpu, count]) => `${cpu}: ${count}`).join(', ')}`);

for (let i = 0; i < 3; i++) wides.push(host.core.registerWide(request([1])));
try {
  host.core.registerWide(request([0, 1]));
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(
    `CPU 1 is full, so a mask of 0 and 1: ${error.code}; CPU 0 is enabled: ${host.kernel.cpuState(0).image.active}`,
  );
}
for (const wide of wides) host.core.unregisterWide(wide);
host.close();
