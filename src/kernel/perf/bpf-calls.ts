import { InterpretedMap, type MapShape } from '../../bpf/map.ts';
import { InterpretedProgram } from '../../bpf/program.ts';
import type { Task } from '../../machine/task.ts';
import { LoadedProgram } from './bpf-filter.ts';
import { failure } from './failure.ts';
import type { FileTable } from './file-table.ts';
import type { PerfEvent } from './perf-event.ts';

/** bpf(2) of one process on our kernel, by fds. Every call throws `KernelError` with Linux's errno. */
export class ModelBpfCalls {
  readonly #files: FileTable<PerfEvent>;
  readonly #caller: () => Task;
  readonly #possibleCpus: number;

  constructor(parts: {
    readonly files: FileTable<PerfEvent>;
    readonly caller: () => Task;
    readonly possibleCpus: number;
  }) {
    this.#files = parts.files;
    this.#caller = parts.caller;
    this.#possibleCpus = parts.possibleCpus;
  }

  /** BPF_MAP_CREATE: the fd. EPERM without CAP_BPF. */
  createMap(shape: MapShape): number {
    const { capabilities } = this.#caller().credentials;
    if (!capabilities.has('BPF') && !capabilities.has('SYS_ADMIN')) throw failure('EPERM', 'CAP_BPF', 'bpf');
    return this.#add(new InterpretedMap(shape, { cpus: this.#possibleCpus }));
  }

  /** BPF_PROG_LOAD: the fd. EPERM without CAP_BPF and CAP_PERFMON; otherwise as the checker says. */
  loadProgram(type: number, bytes: Uint8Array): number {
    const { capabilities } = this.#caller().credentials;
    const allowed = capabilities.has('BPF') && capabilities.has('PERFMON');
    if (!allowed && !capabilities.has('SYS_ADMIN'))
      throw failure('EPERM', 'CAP_BPF and CAP_PERFMON', 'BPF_PROG_LOAD');
    const program = InterpretedProgram.load(bytes, (fd) => {
      const object = this.#object(fd);
      return object instanceof InterpretedMap ? object : undefined;
    });
    return this.#add(new LoadedProgram(type, program));
  }

  /** The map behind an fd. Throws EBADF, EINVAL. */
  map(fd: number): InterpretedMap {
    const object = this.#object(fd);
    if (!(object instanceof InterpretedMap)) throw failure('EINVAL', `fd ${fd} is no map`, 'bpf');
    return object;
  }

  /** The program behind an fd. Throws EBADF, EINVAL. */
  program(fd: number): LoadedProgram {
    const object = this.#object(fd);
    if (!(object instanceof LoadedProgram))
      throw failure('EINVAL', `fd ${fd} is no program`, 'PERF_EVENT_IOC_SET_BPF');
    return object;
  }

  #add(object: object): number {
    if (this.#files.full) throw failure('EMFILE', 'no fd is left', 'bpf');
    return this.#files.addOther(object);
  }

  #object(fd: number): object | undefined {
    const file = this.#files.get(fd);
    if (file === undefined) throw failure('EBADF', `fd ${fd} is not open`, 'bpf');
    return file.type === 'other' ? file.object : undefined;
  }
}
