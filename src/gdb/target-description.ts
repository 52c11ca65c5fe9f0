import { assert } from '../base/assert.ts';

/** A register of a target. */
export interface RegisterDescription {
  readonly name: string;
  readonly bits: number;
  /** A type that GDB knows: "int64", "code_ptr", "data_ptr", "i387_ext", or one of {@link FeatureDescription.types}. */
  readonly type: string;
  readonly group?: string;
}

/** Registers that belong together under a name that GDB knows, "org.gnu.gdb.i386.core". */
export interface FeatureDescription {
  readonly name: string;
  /** Definitions of types, as XML elements. */
  readonly types?: readonly string[];
  readonly registers: readonly RegisterDescription[];
}

/** What a debugger must know of a target: its architecture and registers. Numbers of registers count through all. */
export interface TargetDescription {
  /** GDB's name: "i386:x86-64", "aarch64". */
  readonly architecture: string;
  readonly osabi?: string;
  readonly features: readonly FeatureDescription[];
  /** The program counter's and the stack pointer's name. */
  readonly programCounter: string;
  readonly stackPointer: string;
  /** The frame pointer's and the flags' name, for lldb. */
  readonly framePointer?: string;
  readonly flags?: string;
  /** lldb's triple: "x86_64-unknown-linux-gnu". */
  readonly triple: string;
  readonly pointerBytes: number;
}

/** All registers in the order of their numbers. */
export function registersOf(description: TargetDescription): readonly RegisterDescription[] {
  return description.features.flatMap(({ registers }) => registers);
}

/** Number of a register. */
export function registerNumber(description: TargetDescription, name: string): number {
  const number = registersOf(description).findIndex((register) => register.name === name);
  assert(number >= 0, `register ${name} is described`);
  return number;
}

/** The description as "target.xml": GDB manual, "Target Descriptions". */
export function targetXml(description: TargetDescription): string {
  const lines = [
    '<?xml version="1.0"?>',
    '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
    '<target version="1.0">',
    `<architecture>${description.architecture}</architecture>`,
    ...(description.osabi === undefined ? [] : [`<osabi>${description.osabi}</osabi>`]),
  ];
  const generic: Record<string, string> = {
    [description.programCounter]: 'pc',
    [description.stackPointer]: 'sp',
    ...(description.framePointer === undefined ? {} : { [description.framePointer]: 'fp' }),
    ...(description.flags === undefined ? {} : { [description.flags]: 'flags' }),
  };
  let number = 0;
  for (const feature of description.features) {
    lines.push(`<feature name="${feature.name}">`, ...(feature.types ?? []));
    for (const { name, bits, type, group } of feature.registers) {
      const role = generic[name];
      lines.push(
        `<reg name="${name}" bitsize="${bits}" type="${type}" regnum="${number++}"` +
          `${group === undefined ? '' : ` group="${group}"`}${role === undefined ? '' : ` generic="${role}"`}/>`,
      );
    }
    lines.push('</feature>');
  }
  lines.push('</target>', '');
  return lines.join('\n');
}
