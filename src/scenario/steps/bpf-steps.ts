import type { LabBpf } from '../lab.ts';
import { StepError } from '../values.ts';
import { done, type StepContext, type StepHandlers } from './step-context.ts';

/** Steps of bpf: programs are loaded by name and attached by an `ioctl`. docs/spec/09 "Steps". */
export function bpfSteps(context: StepContext, bpf: LabBpf): StepHandlers {
  return {
    bpf: (keys) => {
      const name = String(keys.program);
      const load = bpf.program(name);
      if (load === undefined) throw new StepError(`there is no bpf program "${name}"`);
      context.programs.set(String(keys.as), load());
      return done;
    },
  };
}
