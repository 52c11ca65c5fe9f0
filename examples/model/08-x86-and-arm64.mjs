// The same watches on x86 and arm64: what a processor can watch, and where the program stands when it traps.
import { KernelError, ModelHost, ModelSurface } from 'trapline/model';

const machines = { x86: {}, arm64: { arm64: { brps: [6], wrps: [4] } } };

for (const [name, options] of Object.entries(machines)) {
  const host = new ModelHost(options);
  const surface = new ModelSurface(host);
  const { machine, kernel } = host;
  const task = machine.spawn({ name: 'worker', cpu: 0 });
  const attempt = (what, attr) => {
    try {
      surface.events.open({ type: 5, ...attr }, { pid: task.pid, cpu: -1 });
      console.log(`${name}: ${what}: ok`);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      console.log(`${name}: ${what}: ${error.code}`);
    }
  };
  attempt('loads alone', { bpType: 1, bpAddr: 0x1000n, bpLen: 8n });
  attempt('three bytes', { bpType: 2, bpAddr: 0x1009n, bpLen: 3n });
  attempt('an instruction of 4 bytes', { bpType: 4, bpAddr: 0x400100n, bpLen: 4n });

  // What is in the variable while the hit is handled: a load before the store is done, or behind it.
  let seen;
  kernel.overflow.hooks.keep = (_event, frame) => {
    seen = `value ${task.memory.readNumber(0x1020n, 8)}, standing at 0x${frame.ipLow.toString(16)}`;
    return true;
  };
  const watch = surface.events.open(
    { type: 5, bpType: 2, bpAddr: 0x1020n, bpLen: 8n, samplePeriod: 1n },
    { pid: task.pid, cpu: -1 },
  );
  machine.perform(task, { type: 'store', at: 0x1020n, lenBytes: 8, value: 7n, ip: 0x400200n });
  const traps = machine.cpus[0].exceptions;
  console.log(`${name}: a store of 7 at 0x400200: ${seen}; ${watch.read().value} hit, ${traps} traps`);
  surface.close();
}
