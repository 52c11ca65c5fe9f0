import { Arm64Architecture } from '../../arch/arm64/arm64-architecture.ts';
import { addressMask0, breakpointRegisters, dr6, dr7 } from '../../arch/x86/debug-register-bits.ts';
import { hex, hexPair } from '../../base/hex.ts';
import { joinPair } from '../../base/pair.ts';
import type { MonitorCommands } from '../../gdb/target.ts';
import type { PerfEvent } from '../../kernel/perf/perf-event.ts';
import { arm64Registers } from './arm64-registers.ts';
import type { ModelHost } from './model-host.ts';

/** Commands that a debugger's user gives with "monitor". */
export function monitorCommands(host: ModelHost): MonitorCommands {
  return {
    slots: { help: 'who holds a slot of which CPU', run: () => slots(host) },
    registers: { help: 'the hardware debug registers of each CPU', run: () => registers(host) },
  };
}

function slots(host: ModelHost): string {
  const { kernel, arch } = host;
  const holders = [...kernel.all].filter((event) => event.holdsSlot && event.pmu === kernel.breakpoints);
  const total = arch.slots('data');
  let text = '';
  for (const { cpu } of kernel.cpus) {
    const here = holders.filter((event) => event.cpu === -1 || event.cpu === cpu.number);
    const pinned = here.filter((event) => event.task === null).length;
    const byTask = new Map<number, number>();
    for (const { task } of here) if (task !== null) byTask.set(task.tid, (byTask.get(task.tid) ?? 0) + 1);
    const used = pinned + Math.max(0, ...byTask.values());
    text += `CPU ${cpu.number}${cpu.online ? '' : ' (offline)'}: ${total - used} of ${total} free\n`;
    for (const event of here) text += `  ${holder(event)}\n`;
  }
  return text;
}

function holder(event: PerfEvent): string {
  const { bpAddr = 0n, bpLen = 0n } = event.attr;
  const who =
    event.task === null
      ? event.overflowHandler === null
        ? 'a perf event of the CPU'
        : 'the debugger, or another client in the kernel'
      : `a perf event of task ${event.task.name}`;
  return `${hex(bpAddr)}, ${bpLen} bytes: ${who}`;
}

function registers(host: ModelHost): string {
  let text = '';
  for (const { number, online, registers: own } of host.machine.cpus) {
    const value = (register: number): string => hexPair(own.low(register), own.high(register));
    const where = `CPU ${number}${online ? '' : ' (offline)'}`;
    if (host.arch instanceof Arm64Architecture) {
      const read = (register: number): bigint => joinPair(own.low(register), own.high(register));
      const all = Object.entries(arm64Registers(read, host.arch.features));
      text += `${where}: ${all.map(([name, content]) => `${name} ${hex(content)}`).join('  ')}\n`;
      continue;
    }
    const addresses = Array.from({ length: breakpointRegisters }, (_, n) => {
      const masked = (own.low(addressMask0 + n) | own.high(addressMask0 + n)) !== 0;
      return `dr${n} ${value(n)}${masked ? ` mask ${value(addressMask0 + n)}` : ''}`;
    });
    text += `${where}: ${addresses.join('  ')}  dr6 ${value(dr6)}  dr7 ${value(dr7)}\n`;
  }
  return text;
}
