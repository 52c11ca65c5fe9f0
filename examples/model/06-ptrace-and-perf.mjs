// A debugger and a profiler on one variable: both are perf events, and the debugger sees the register that it chose.
import { ModelHost, ModelSurface } from 'trapline/model';

const host = new ModelHost();
const surface = new ModelSurface(host);
const { machine, ptrace, self } = host;
const task = machine.spawn({ name: 'worker', cpu: 0 });
const counter = surface.events.open(
  { type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 4n },
  { pid: task.pid, cpu: -1 },
);

const debugreg = (n) => ({ offset: BigInt(848 + 8 * n) });
ptrace.attach(self, task);
ptrace.pokeUser(self, task, debugreg(3), 0x1000n);
ptrace.pokeUser(self, task, debugreg(7), 0xd0000040n); // enable 3: write, 4 bytes
ptrace.resume(self, task, { step: false });

machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 4, value: 1n, ip: 0x400000n });
const { signal, code, address } = task.stop;
console.log(`stopped by signal ${signal}, code ${code}, at 0x${address.toString(16)}`);
console.log(`the debugger's DR6: 0x${ptrace.peekUser(self, task, debugreg(6)).toString(16)}`);
console.log(`the profiler's count: ${counter.read().value}`);
for (const event of host.kernel.all)
  console.log(`event ${event.id}: ${event.overflowHandler === null ? 'the profiler' : 'the debugger'}`);

// The debugger goes, its breakpoint stays until the task ends.
ptrace.detach(self, task);
machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 4, value: 2n, ip: 0x400000n });
console.log(`without a debugger: ${task.received.length} SIGTRAP for the task itself`);
machine.exit(task);
console.log(
  `events left when it has ended: ${[...host.kernel.all].length}, the profiler's, which can be read: ${counter.read().value}`,
);
surface.close();
