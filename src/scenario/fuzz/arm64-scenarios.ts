import { SeededRandom } from '../../base/random.ts';

const stepsOfScenario = 25;
const accessBytes = [1, 2, 4, 8] as const;
/** Near a doubleword, and over its edges. */
const dataOffsets = 40;
const labels = 4;

/** What a random scenario is made of. */
interface World {
  readonly tasks: readonly string[];
  readonly events: string[];
  attached: boolean;
}

/**
 * Random scenarios for arm64 alone: requests of every kind, register sets with random bytes selected, and accesses near
 * what is watched. The text of as many scenarios as have `steps` steps. The same seed, the same text.
 */
export function randomArm64Scenarios(options: { readonly seed: number; readonly steps: number }): string {
  const random = new SeededRandom(options.seed);
  const lines: object[] = [];
  let steps = 0;
  for (let n = 0; steps < options.steps; n++) {
    lines.push({
      scenario: `random ${options.seed}.${n}`,
      machine: { arch: 'arm64', cpus: 2, brps: 6, wrps: 4, features: ['watched-far', 'tasks-sleep'] },
      needs: ['root', 'ptrace', 'two-cpus'],
      origin: 'fuzz',
    });
    const own = randomSteps(random);
    steps += own.length;
    lines.push(...own);
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function randomSteps(random: SeededRandom): object[] {
  const tasks = random.below(2) === 0 ? ['A'] : ['A', 'B'];
  const world: World = { tasks, events: [], attached: false };
  const steps: object[] = tasks.map((task, cpu) => ({ step: 'spawn', task, cpu }));
  if (random.below(3) === 0) {
    world.attached = true;
    steps.push({ step: 'attach', task: 'A' });
  }
  while (steps.length < stepsOfScenario) steps.push({ ...randomStep(random, world), expect: {} });
  for (const event of world.events) steps.push({ step: 'read', event, expect: {} });
  return steps;
}

function pick<T>(random: SeededRandom, list: readonly T[]): T {
  const found = list[random.below(list.length)];
  if (found === undefined) throw new RangeError('an empty list');
  return found;
}

function randomStep(random: SeededRandom, world: World): object {
  const task = pick(random, world.tasks);
  const event = world.events.length === 0 ? undefined : pick(random, world.events);
  const regset = world.attached ? random.below(4) === 0 : false;
  if (regset) return regsetStep(random);
  switch (random.below(event === undefined ? 6 : 14)) {
    case 0:
    case 1:
    case 2: {
      const as = `e${world.events.length}`;
      world.events.push(as);
      const cpuWide = random.below(5) === 0;
      return {
        ...{ step: 'open', as, attr: randomAttr(random, task) },
        ...(cpuWide ? { task: null, cpu: random.below(2) } : { task, cpu: -1 }),
      };
    }
    case 3:
      return {
        step: 'call',
        task,
        at: `${task}.code${random.below(labels)}`,
        times: times(random, world, task),
      };
    case 6:
      return { step: 'read', event };
    case 7:
      return { step: 'modify', event, attr: randomAttr(random, task) };
    case 8:
      return { step: 'ioctl', event, request: pick(random, ['ENABLE', 'DISABLE', 'RESET']) };
    default: {
      const len = pick(random, accessBytes);
      // Aligned: a misaligned access is several.
      const at = `${task}.data+${Math.floor((64 + random.below(dataOffsets)) / len) * len}`;
      const step = random.below(2) === 0 ? 'store' : 'load';
      return { step, task, at, len, times: times(random, world, task) };
    }
  }
}

/** A task that is traced does one access an order. */
function times(random: SeededRandom, world: World, task: string): number {
  return world.attached && task === 'A' ? 1 : 1 + random.below(3);
}

function randomAttr(random: SeededRandom, task: string): object {
  const execute = random.below(4) === 0;
  const far = random.below(20) === 0;
  const bpAddr = far
    ? pick(random, ['0xffff800008000000', '0xfffffffffffffff8', '0xffffffffffff', '0x1000000000000', '0x0'])
    : execute
      ? `${task}.code${random.below(labels)}${random.below(10) === 0 ? `+${random.below(4)}` : ''}`
      : `${task}.data+${64 + random.below(dataOffsets)}`;
  return {
    bpType: random.below(15) === 0 ? random.below(9) : execute ? 'x' : pick(random, ['r', 'w', 'rw']),
    bpAddr,
    bpLen: random.below(15) === 0 ? random.below(20) : execute ? pick(random, [4, 8]) : 1 + random.below(8),
    ...(random.below(8) === 0 ? { disabled: true } : {}),
    ...(random.below(8) === 0 ? { pinned: true } : {}),
    ...(random.below(8) === 0 ? { excludeKernel: true } : {}),
    ...(random.below(12) === 0 ? { excludeUser: true } : {}),
  };
}

function regsetStep(random: SeededRandom): object {
  const set =
    random.below(12) === 0 ? pick(random, [0x4ff, 0x402, 0]) : pick(random, ['watch', 'watch', 'break']);
  const lengths = random.below(6) === 0 ? { len: random.below(80) } : {};
  switch (random.below(4)) {
    case 0:
      return { step: 'getregset', task: 'A', set, ...lengths };
    case 1:
      return { step: 'cont', task: 'A' };
    default: {
      const count = 1 + random.below(random.below(4) === 0 ? 7 : 2);
      const entries = Array.from({ length: count }, () => {
        const run = ((1 << (1 + random.below(8))) - 1) << random.below(4);
        const bytes = random.below(5) === 0 ? random.below(256) : run & 0xff;
        const type = random.below(8) === 0 ? random.below(4) : set === 'break' ? 0 : 1 + random.below(3);
        const control = (bytes << 5) | (type << 3) | (random.below(4) << 1) | (random.below(3) === 0 ? 0 : 1);
        const far = random.below(20) === 0;
        const addr = far
          ? '0xffff800008000000'
          : set === 'break'
            ? `A.code${random.below(labels)}`
            : `A.data+${64 + random.below(dataOffsets)}`;
        return { addr, ctrl: `0x${control.toString(16)}` };
      });
      return { step: 'setregset', task: 'A', set, entries, ...lengths };
    }
  }
}
