import { perfEventAttrFlags } from '../uapi/perf-event-attr.ts';

/** Keys of an attr that are numbers of 32 bits or fewer. */
export const attrNumberKeys: readonly string[] = [
  'type',
  'size',
  'preciseIp',
  'wakeupEvents',
  'sampleStackUser',
  'clockid',
  'auxWatermark',
  'sampleMaxStack',
  'auxSampleSize',
];

/** Keys of an attr that are 64-bit numbers. */
export const attrWideKeys: readonly string[] = [
  'config',
  'samplePeriod',
  'branchSampleType',
  'sampleRegsUser',
  'sampleRegsIntr',
  'sigData',
  'reservedFlags',
];

/** Every key that an attr in a scenario may have. docs/spec/09 "Values". */
export const attrKeys: readonly string[] = [
  ...attrNumberKeys,
  ...attrWideKeys,
  ...perfEventAttrFlags,
  'bpType',
  'bpAddr',
  'bpLen',
  'sampleFreq',
  'sampleType',
  'readFormat',
  'mem',
  'raw',
];
