import type { Ability, AttrField } from '../ability.ts';

const flag = (name: string, chance: number): AttrField => ({
  name,
  chance,
  set: (attr) => {
    attr[name] = true;
  },
});

const formats: readonly string[] = ['TOTAL_TIME_ENABLED', 'TOTAL_TIME_RUNNING', 'ID', 'GROUP', 'LOST'];
const sampleTypes: readonly string[] = [
  ...['IP', 'TID', 'TIME', 'ADDR', 'READ', 'ID', 'CPU', 'PERIOD', 'STREAM_ID', 'RAW', 'IDENTIFIER'],
  ...[
    'CALLCHAIN',
    'AUX',
    'CGROUP',
    'TRANSACTION',
    'DATA_SRC',
    'DATA_PAGE_SIZE',
    'CODE_PAGE_SIZE',
    'BRANCH_STACK',
    'REGS_USER',
    'STACK_USER',
    'WEIGHT',
    'WEIGHT_STRUCT',
    'REGS_INTR',
    'PHYS_ADDR',
  ],
];

/** Flags that say how an event counts and how long it lives. */
const lifeFlags: readonly AttrField[] = [
  flag('disabled', 0.25),
  flag('pinned', 0.12),
  flag('exclusive', 0.04),
  flag('excludeUser', 0.06),
  flag('excludeKernel', 0.12),
  flag('inherit', 0.12),
  flag('inheritThread', 0.02),
  flag('removeOnExec', 0.05),
  flag('enableOnExec', 0.05),
  flag('freq', 0.02),
];

/** Flags that change nothing for a breakpoint without a ring. */
const idleFlags: readonly AttrField[] = [
  ...[
    'excludeHv',
    'excludeIdle',
    'excludeHost',
    'excludeGuest',
    'mmap',
    'comm',
    'task',
    'watermark',
    'sampleIdAll',
  ],
  ...['excludeCallchainUser', 'excludeCallchainKernel', 'mmap2', 'commExec', 'mmapData', 'inheritStat'],
].map((name) => flag(name, 0.01));

/** Fields of an attr that are right, and such as are wrong in themselves. docs/spec/03 sections 1 and 9. */
export const attrFields: Ability = {
  name: 'attr-fields',
  kinds: [],
  attrFields: [
    ...lifeFlags,
    ...idleFlags,
    {
      name: 'readFormat',
      chance: 0.55,
      set: (attr, { dice }) => {
        attr.readFormat = dice.some(formats, 0.4);
      },
    },
    {
      name: 'samplePeriod',
      chance: 0.25,
      set: (attr, { dice }) => {
        attr.samplePeriod = dice.pick([1, 2, 3, 5, 100, '0x7fffffffffffffff', '0x8000000000000000']);
        if (attr.freq === true) attr.samplePeriod = dice.pick([1, 1000, 100_000, 100_001]);
      },
    },
    {
      name: 'sampleType',
      chance: 0.06,
      set: (attr, { dice }) => {
        attr.sampleType = dice.some(sampleTypes, 0.15);
        if (dice.chance(0.5)) attr.branchSampleType = dice.pick([0, 1, 7, 8, 15, '0x100000']);
        if (dice.chance(0.5)) attr.sampleRegsUser = dice.pick([1, 0xfff, 0x1000, '0x100000000']);
        if (dice.chance(0.5)) attr.sampleRegsIntr = dice.pick([1, 0xfff, 0x1000000, '0x100000000']);
        if (dice.chance(0.5)) attr.sampleStackUser = dice.pick([8, 12, 65528, 65535]);
      },
    },
    {
      name: 'clock',
      chance: 0.02,
      set: (attr, { dice }) => {
        attr.useClockid = true;
        attr.clockid = dice.pick([1, 4, 0, 7, 11, 99]);
      },
    },
    {
      name: 'size',
      chance: 0.02,
      set: (attr, { dice }) => {
        attr.size = dice.pick([0, 63, 64, 72, 112, 120, 128, 200, 4096, 4097]);
      },
    },
    {
      name: 'reserved',
      chance: 0.01,
      set: (attr, { dice }) => {
        if (dice.chance(0.5)) attr.reservedFlags = 1;
        else attr.raw = { [String(dice.pick([110, 111, 116, 119, 150]))]: dice.pick([1, 2, 4, 6, 8]) };
      },
    },
    {
      name: 'aux',
      chance: 0.01,
      set: (attr, { dice }) => {
        if (dice.chance(0.5)) attr.auxOutput = true;
        else attr.auxSampleSize = dice.pick([1, 8, 65536]);
      },
    },
    {
      name: 'sigtrap without what it needs',
      chance: 0.01,
      set: (attr, { dice }, target) => {
        // With a period, and on the runner, it would send signals.
        if (attr.samplePeriod !== undefined || attr.freq === true || target.task === 'self') return;
        attr.sigtrap = true;
        attr.sigData = dice.below(100);
      },
    },
  ],
};
