import { accesses } from './abilities/accesses.ts';
import { attrBytes } from './abilities/attr-bytes.ts';
import { attrFields } from './abilities/attr-fields.ts';
import { bpf } from './abilities/bpf.ts';
import { control } from './abilities/control.ts';
import { families } from './abilities/families.ts';
import { opens } from './abilities/opens.ts';
import { ptrace } from './abilities/ptrace.ts';
import { reads } from './abilities/reads.ts';
import { rights } from './abilities/rights.ts';
import { rings } from './abilities/rings.ts';
import { signals } from './abilities/signals.ts';
import { softwareEvents } from './abilities/software-events.ts';
import { tasks } from './abilities/tasks.ts';
import type { Ability } from './ability.ts';

/** Breakpoints, groups and counting, before there were rings, signals, rights, bpf and ptrace: what a speed is held against. */
export const firstAbilities: readonly Ability[] = [
  tasks,
  accesses,
  attrFields,
  opens,
  control,
  reads,
  softwareEvents,
];

/** All that the fuzzer tries. A new ability is a file in `abilities/` and a word here. */
export const abilities: readonly Ability[] = [
  ...firstAbilities,
  bpf,
  signals,
  attrBytes,
  families,
  rights,
  rings,
  ptrace,
];
