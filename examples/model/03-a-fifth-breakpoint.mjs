// A fifth breakpoint: admission is decided when an event is opened, and what was admitted always finds a register.
import { KernelError, ModelHost, ModelSurface } from 'trapline/model';

const host = new ModelHost();
const surface = new ModelSurface(host);
const [a, b] = ['A', 'B'].map((name) => host.machine.spawn({ name }).pid);

function attempt(what, target) {
  try {
    surface.events.open({ type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 4n, disabled: true }, target);
    console.log(`${what}: ok`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    console.log(`${what}: ${error.code}`);
  }
}

for (const n of [1, 2, 3, 4, 5]) attempt(`breakpoint ${n} of A, disabled`, { pid: a, cpu: -1 });
attempt('breakpoint 1 of B: tasks do not compete', { pid: b, cpu: -1 });
attempt('CPU 0, all tasks: must leave room for the greediest task', { pid: -1, cpu: 0 });
surface.close();
