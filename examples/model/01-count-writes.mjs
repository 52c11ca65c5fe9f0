// Count the writes to a variable: the smallest use of a watchpoint.
import { ModelHost, ModelSurface } from 'trapline/model';

const host = new ModelHost();
const surface = new ModelSurface(host);
const counter = 0x601040n;

const { pid } = host.machine.spawn({
  name: 'worker',
  *program() {
    for (let i = 0; i < 1000; i++) {
      yield { type: 'rmw', at: counter, lenBytes: 8 }; // counter += 1
      yield { type: 'load', at: counter, lenBytes: 8 };
    }
  },
});

// PERF_TYPE_BREAKPOINT, HW_BREAKPOINT_W.
const writes = surface.events.open({ type: 5, bpType: 2, bpAddr: counter, bpLen: 8n }, { pid, cpu: -1 });
const accesses = surface.events.open({ type: 5, bpType: 3, bpAddr: counter, bpLen: 8n }, { pid, cpu: -1 });
host.machine.run();
console.log(`writes: ${writes.read().value}, reads and writes: ${accesses.read().value}`);
surface.close();
