import { toInteger } from '../integer.ts';
import type { KernelAccess, LabMachine } from '../lab.ts';
import { attrOf, resolveAddress, StepError } from '../values.ts';
import { done, type StepContext, type StepHandlers, type StepKeys } from './step-context.ts';

/** The longest time that a step lets pass: a minute, 15000 timer interrupts. */
const advanceNsMax = 60_000_000_000;

/** The access that a `kernelAccess` step makes, `times` times. */
export function kernelAccessOf(
  context: StepContext,
  keys: StepKeys,
): { readonly cpu: number; readonly access: KernelAccess } {
  const { lab } = context;
  return {
    cpu: context.number(keys, 'cpu', 0),
    access: {
      at: resolveAddress(lab, String(keys.at)),
      lenBytes: context.length(keys),
      store: keys.store !== false,
      value: toInteger(keys.value) ?? 1n,
      ...(keys.ip === undefined ? {} : { ip: resolveAddress(lab, String(keys.ip)) }),
    },
  };
}

/** Steps that only a simulated machine can do, but for an NMI, which runs other steps. docs/spec/09 "Steps". */
export function machineSteps(context: StepContext, machine: LabMachine): StepHandlers {
  const { lab } = context;
  const wide: Set<string> = new Set();
  return {
    registers: (keys) => ({ errno: 0, ...machine.registers(context.number(keys, 'cpu', 0)) }),
    registerWide: (keys) => {
      const name = String(keys.as);
      const cpus = keys.cpus as readonly number[] | undefined; // checked by the parser
      machine.registerWide(name, attrOf(lab, keys.attr as StepKeys), cpus); // likewise
      wide.add(name);
      return done;
    },
    unregisterWide: (keys) => {
      const name = String(keys.event);
      if (!wide.has(name)) return { errno: 0, hits: 0 };
      const hits = machine.wideHits(name);
      machine.unregisterWide(name);
      return { errno: 0, hits };
    },
    kgdb: (keys) => ({ errno: 0, reply: machine.kgdb(String(keys.packet)) }),
    ksym: (keys) => {
      if (typeof keys.current === 'boolean') machine.ksym.setCurrent(keys.current);
      if (keys.write !== undefined) machine.ksym.write(String(keys.write));
      const { read } = keys;
      if (read === undefined) return done;
      if (read !== 'filter' && read !== 'trace' && read !== 'profile')
        throw new StepError('"read" is "filter", "trace" or "profile"');
      return { errno: 0, text: machine.ksym.read(read) };
    },
    takeRegisters: (keys) => {
      machine.takeRegisters(context.number(keys, 'cpu', 0), context.number(keys, 'count', 0));
      return done;
    },
    sampleModule: (keys) => {
      if (keys.load !== undefined) machine.loadSample(String(keys.load));
      if (keys.unload === true) machine.unloadSample();
      return { errno: 0, log: machine.sampleLog() };
    },
    rename: (keys) => {
      machine.rename(context.tid(String(keys.task)), String(keys.name));
      return done;
    },
    suspend: () => {
      machine.suspend();
      return done;
    },
    kexec: () => {
      machine.kexec();
      return done;
    },
    advance: (keys) => {
      const ns = context.number(keys, 'ns', 0);
      if (ns < 0 || ns > advanceNsMax) throw new StepError(`"ns" is 0 to ${advanceNsMax}`);
      machine.advance(ns);
      return done;
    },
    cpuOffline: (keys) => {
      machine.cpuOffline(context.number(keys, 'cpu', 0));
      return done;
    },
    cpuOnline: (keys) => {
      machine.cpuOnline(context.number(keys, 'cpu', 0));
      return done;
    },
    kernelAccess: (keys) => {
      const { cpu, access } = kernelAccessOf(context, keys);
      const times = context.times(keys);
      for (let i = 0; i < times; i++) {
        if (access.ip !== undefined) machine.kernelExecute(cpu, access.ip);
        machine.kernelAccess(cpu, access);
      }
      return done;
    },
  };
}
