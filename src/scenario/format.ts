/** What a key of a step holds. */
export type KeyKind =
  /** A task that exists; a task to be. */
  | 'task'
  | 'newTask'
  /** An event that exists; an event to be. */
  | 'event'
  | 'newEvent'
  /** "0x1000", "A.data+8", "A.code3"; or a symbol of the kernel, "sym:name". */
  | 'address'
  /** An integer, as a number or a string. */
  | 'integer'
  | 'boolean'
  | 'text'
  /** An object of attr fields, or "bad". */
  | 'attr'
  /** Whom an event counts on: null, "self", "nobody" (a tid that is not there), or a task that exists. */
  | 'target'
  /** "file", "none", or an event that exists. */
  | 'group'
  /** Anything that JSON can hold; judged by the step itself. */
  | 'any'
  | 'integers'
  | 'step'
  | 'steps';

/** A key of a step. */
export interface KeySpec {
  readonly kind: KeyKind;
  readonly required?: boolean;
}

/** A step of the format. */
export interface StepSpec {
  readonly keys: Readonly<Record<string, KeySpec>>;
  /** Only a simulated machine can do it. */
  readonly modelOnly?: boolean;
}

const required = (kind: KeyKind): KeySpec => ({ kind, required: true });
const optional = (kind: KeyKind): KeySpec => ({ kind });

const onTask = { task: required('task') };
const onEvent = { event: required('event') };
const access = {
  ...onTask,
  at: required('address'),
  len: optional('integer'),
  times: optional('integer'),
  value: optional('integer'),
};

const userWord = { debugreg: optional('integer'), offset: optional('integer'), compat: optional('boolean') };

/** Every step, with its keys: docs/spec/09 "Steps". */
export const stepSpecs: Readonly<Record<string, StepSpec>> = {
  spawn: { keys: { task: required('newTask'), cpu: optional('integer') } },
  thread: { keys: { ...onTask, as: required('newTask') } },
  fork: { keys: { ...onTask, as: required('newTask'), clearHandlers: optional('boolean') } },
  exec: { keys: onTask },
  exit: { keys: onTask },
  credentials: {
    keys: {
      task: required('task'),
      user: optional('text'),
      caps: optional('any'),
      restore: optional('boolean'),
    },
  },
  reschedule: { keys: onTask },
  signalMask: {
    keys: {
      ...onTask,
      block: optional('any'),
      unblock: optional('any'),
      ignore: optional('any'),
      default: optional('any'),
      handle: optional('any'),
    },
  },
  migrate: { keys: { ...onTask, cpu: required('integer') } },
  store: { keys: access },
  load: { keys: access },
  rmw: { keys: access },
  storeTwo: { keys: { ...access, at2: required('address') } },
  call: { keys: { ...onTask, at: required('address'), times: optional('integer') } },
  trap: { keys: { ...onTask, kind: required('text') } },
  syscallWrite: { keys: { ...onTask, at: required('address'), len: optional('integer') } },
  open: {
    keys: {
      as: required('newEvent'),
      attr: required('attr'),
      task: optional('target'),
      cpu: optional('integer'),
      group: optional('group'),
      flags: optional('integer'),
    },
  },
  bpf: { keys: { as: required('text'), program: required('text') } },
  modify: { keys: { ...onEvent, attr: required('attr') } },
  ioctl: { keys: { ...onEvent, request: required('any'), arg: optional('any') } },
  read: { keys: { ...onEvent, bytes: optional('integer') } },
  mmap: {
    keys: {
      ...onEvent,
      pages: optional('integer'),
      readOnly: optional('boolean'),
      private: optional('boolean'),
    },
  },
  records: { keys: { ...onEvent, keep: optional('boolean') } },
  munmap: { keys: onEvent },
  setTail: { keys: { ...onEvent, value: required('integer') } },
  async: {
    keys: {
      ...onEvent,
      task: optional('task'),
      thread: optional('boolean'),
      signal: optional('any'),
      on: optional('boolean'),
    },
  },
  poll: { keys: onEvent },
  close: { keys: onEvent },
  attach: { keys: { ...onTask, followFork: optional('boolean') } },
  detach: { keys: onTask },
  cont: { keys: onTask },
  singlestep: { keys: onTask },
  pokeuser: { keys: { ...onTask, ...userWord, value: required('any') } },
  peekuser: { keys: { ...onTask, ...userWord } },
  getregset: { keys: { ...onTask, set: required('any'), len: optional('integer') } },
  setregset: {
    keys: { ...onTask, set: required('any'), entries: optional('any'), len: optional('integer') },
  },
  nmi: {
    keys: { cpu: optional('integer'), in: required('step'), at: required('integer'), do: required('steps') },
    modelOnly: true,
  },
  registers: { keys: { cpu: optional('integer'), vcpu: optional('text') }, modelOnly: true },
  kgdb: { keys: { packet: required('text') }, modelOnly: true },
  ksym: {
    keys: { write: optional('text'), read: optional('text'), current: optional('boolean') },
    modelOnly: true,
  },
  registerWide: {
    keys: { as: required('newEvent'), attr: required('attr'), cpus: optional('integers') },
    modelOnly: true,
  },
  unregisterWide: { keys: onEvent, modelOnly: true },
  takeRegisters: { keys: { cpu: required('integer'), count: required('integer') }, modelOnly: true },
  sampleModule: { keys: { load: optional('text'), unload: optional('boolean') }, modelOnly: true },
  rename: { keys: { ...onTask, name: required('text') }, modelOnly: true },
  suspend: { keys: {}, modelOnly: true },
  kexec: { keys: {}, modelOnly: true },
  advance: { keys: { ns: required('integer') }, modelOnly: true },
  cpuOffline: { keys: { cpu: required('integer') }, modelOnly: true },
  cpuOnline: { keys: { cpu: required('integer') }, modelOnly: true },
  kernelAccess: {
    keys: {
      cpu: required('integer'),
      at: required('address'),
      len: optional('integer'),
      store: optional('boolean'),
      value: optional('integer'),
      ip: optional('address'),
      times: optional('integer'),
    },
    modelOnly: true,
  },
  used: { keys: {} },
  vm: { keys: { as: required('text'), vcpu: optional('text'), program: optional('any') }, modelOnly: true },
  vcpuRun: { keys: { vcpu: required('text') }, modelOnly: true },
  vcpuIoctl: {
    keys: { vcpu: required('text'), request: required('any'), arg: optional('any') },
    modelOnly: true,
  },
};

/** Keys of a header. */
export const headerKeys: readonly string[] = ['scenario', 'machine', 'needs', 'origin', 'spec'];
/** Keys of a header's `machine`. */
export const machineKeys: readonly string[] = [
  'arch',
  'cpus',
  'brps',
  'wrps',
  'era',
  'features',
  'paranoid',
  'kallsyms',
  'offline',
];
/** What a header may need. */
export const needNames: readonly string[] = ['root', 'two-cpus', 'ptrace', 'bpf', 'kvm', 'unprivileged-user'];

/** The machine that a scenario asks for; the model is made so. */
export interface ScenarioMachine {
  readonly arch: 'x86' | 'arm64';
  readonly cpus: number;
  /** Of arm64: breakpoints by CPU; the last number is that of all CPUs behind. */
  readonly brps: readonly number[];
  /** Of arm64: watchpoints, likewise. */
  readonly wrps: readonly number[];
  readonly era: string;
  readonly features: readonly string[];
  readonly paranoid: number;
  readonly kallsyms: Readonly<Record<string, string>>;
  /** CPUs that are offline at the start. */
  readonly offline: readonly number[];
}

/** One line of a scenario. */
export interface ScenarioStep {
  readonly line: number;
  readonly step: string;
  /** Its keys, checked against {@link stepSpecs}. */
  readonly keys: Readonly<Record<string, unknown>>;
  /** What the result must be; absent: `errno` 0. */
  readonly expect: Readonly<Record<string, unknown>> | undefined;
}

/** A scenario that was read. */
export interface Scenario {
  readonly name: string;
  /** Where it came from, for messages. */
  readonly source: string;
  readonly machine: ScenarioMachine;
  readonly needs: readonly string[];
  readonly origin: string;
  readonly steps: readonly ScenarioStep[];
}
