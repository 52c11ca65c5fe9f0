import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as uapi from '../src/uapi/index.ts';

// Compares what src/uapi says with the headers that are installed here: a C program prints the values of theirs.

const headers = [
  'errno.h',
  'linux/bpf.h',
  'linux/perf_event.h',
  'linux/hw_breakpoint.h',
  'sys/ptrace.h',
  'asm/perf_regs.h',
  'signal.h',
  'sys/user.h',
  'sys/syscall.h',
  'linux/bpf_perf_event.h',
];

/** Ours that have another name there, or are part of a value there. */
const expressions: Readonly<Record<string, string>> = {
  PERF_CONTEXT_MAX_LOW: '(unsigned int)PERF_CONTEXT_MAX',
  PERF_CONTEXT_KERNEL_LOW: '(unsigned int)PERF_CONTEXT_KERNEL',
  PERF_CONTEXT_USER_LOW: '(unsigned int)PERF_CONTEXT_USER',
  X86_64_USER_DEBUGREG_OFFSET: 'offsetof(struct user, u_debugreg)',
  X86_64_USER_RIP_OFFSET: 'offsetof(struct user, regs.rip)',
  BPF_INSN_BYTES: 'sizeof(struct bpf_insn)',
  PERF_EVENT_HEADER_BYTES: 'sizeof(struct perf_event_header)',
  SIGRTMIN: '__SIGRTMIN', // glibc keeps the kernel's first two for itself
};

const attrFields: Readonly<Record<keyof typeof uapi.perfEventAttrOffsets, string>> = {
  type: 'type',
  size: 'size',
  config: 'config',
  samplePeriod: 'sample_period',
  sampleType: 'sample_type',
  readFormat: 'read_format',
  flags: '', // bit fields have no offset: the flags are compared bit by bit
  wakeupEvents: 'wakeup_events',
  bpType: 'bp_type',
  bpAddr: 'bp_addr',
  bpLen: 'bp_len',
  branchSampleType: 'branch_sample_type',
  sampleRegsUser: 'sample_regs_user',
  sampleStackUser: 'sample_stack_user',
  clockid: 'clockid',
  sampleRegsIntr: 'sample_regs_intr',
  auxWatermark: 'aux_watermark',
  sampleMaxStack: 'sample_max_stack',
  auxSampleSize: 'aux_sample_size',
  sigData: 'sig_data',
};

/** Names that a test elsewhere proves on the running kernel: what a header lacks is told, not passed over. */
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-headers-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

function snakeCase(name: string): string {
  return name.replace(/([A-Z]|(?<=[a-z])\d)/g, (part) => `_${part.toLowerCase()}`);
}

/** One line of the program, that prints `name value`. */
function printLine(name: string, expression: string): string {
  return `  printf("%s %lld\\n", "${name}", (long long)(${expression}));`;
}

/** Sets one bit field and prints the bits that this set. */
function flagLines(name: string): string {
  const field = name === 'mmap2' ? 'mmap2' : snakeCase(name);
  return `  { struct perf_event_attr attr; unsigned long long bits; memset(&attr, 0, sizeof attr); attr.${field} = 1;
    memcpy(&bits, (char *)&attr + 40, 8); printf("%s %lld\\n", "flag ${name}", (long long)bits); }`;
}

interface Line {
  readonly name: string;
  readonly code: string;
  readonly ours: bigint;
}

function linesOfOurs(): Line[] {
  const lines: Line[] = [];
  for (const [name, value] of Object.entries(uapi)) {
    if (typeof value !== 'number') continue;
    lines.push({ name, code: printLine(name, expressions[name] ?? name), ours: BigInt(value) });
  }
  for (const [name, offset] of Object.entries(uapi.perfEventAttrOffsets)) {
    const field = attrFields[name as keyof typeof attrFields]; // a key of the same object
    if (field === '') continue;
    const label = `perf_event_attr.${field}`;
    lines.push({
      name: label,
      code: printLine(label, `offsetof(struct perf_event_attr, ${field})`),
      ours: BigInt(offset),
    });
  }
  for (const name of uapi.perfEventAttrFlags) {
    const ours = uapi.encodePerfEventAttrFlags({ type: 0, [name]: true });
    lines.push({ name: `flag ${name}`, code: flagLines(name), ours });
  }
  for (const [name, offset] of Object.entries(uapi.perfEventMmapPageOffsets)) {
    const label = `perf_event_mmap_page.${snakeCase(name)}`;
    const code = printLine(label, `offsetof(struct perf_event_mmap_page, ${snakeCase(name)})`);
    lines.push({ name: label, code, ours: BigInt(offset) });
  }
  for (const [name, offset] of Object.entries(uapi.x86PerfEventContext)) {
    const label = `bpf_perf_event_data ${name}`;
    const code = printLine(label, contextExpression(name));
    lines.push({ name: label, code, ours: BigInt(offset) });
  }
  const numbers = uapi.syscallNumbers.x86_64;
  lines.push({
    name: 'SYS_perf_event_open',
    code: printLine('SYS_perf_event_open', 'SYS_perf_event_open'),
    ours: BigInt(numbers.perfEventOpen),
  });
  lines.push({
    name: 'SYS_pidfd_open',
    code: printLine('SYS_pidfd_open', 'SYS_pidfd_open'),
    ours: BigInt(numbers.pidfdOpen),
  });
  lines.push({ name: 'SYS_kill', code: printLine('SYS_kill', 'SYS_kill'), ours: BigInt(numbers.kill) });
  lines.push({ name: 'SYS_bpf', code: printLine('SYS_bpf', 'SYS_bpf'), ours: BigInt(numbers.bpf) });
  return lines;
}

/** Where the context of a bpf program has what we call `name`. */
function contextExpression(name: string): string {
  if (name === 'bytes') return 'sizeof(struct bpf_perf_event_data)';
  const other: Readonly<Record<string, string>> = {
    samplePeriod: 'sample_period',
    addr: 'addr',
    origAx: 'regs.orig_rax',
    flags: 'regs.eflags',
  };
  const register = /^(r\d+|cs|ss)$/.test(name) ? name : `r${name}`;
  return `offsetof(struct bpf_perf_event_data, ${other[name] ?? `regs.${register}`})`;
}

function compileLines(
  lines: readonly Line[],
  program: string,
): { readonly ok: boolean; readonly log: string } {
  const includes = [
    ...headers.map((header) => `#include <${header}>`),
    '#include <stddef.h>',
    '#include <stdio.h>',
    '#include <string.h>',
  ];
  const source = `${program}.c`;
  // The names stand on one line each, so that the compiler's messages tell which of them it does not know.
  const text = `#define _GNU_SOURCE\n${includes.join('\n')}\nint main(void) {\n${lines.map((line) => line.code.replaceAll('\n', ' ')).join('\n')}\n  return 0;\n}\n`;
  fs.writeFileSync(source, text);
  const done = spawnSync('gcc', ['-w', '-fmax-errors=0', '-o', program, source], { encoding: 'utf8' });
  return { ok: done.status === 0, log: done.stderr ?? '' };
}

const firstLine = headers.length + 6;

test('constants, offsets and flag bits are those of the installed headers', (context) => {
  const skip = (why: string): void => {
    console.log(`skipped: ${why}`);
    context.skip(why);
  };
  if (os.machine() !== 'x86_64') return skip(`the headers are those of ${os.machine()}, ours x86-64's`);
  if (spawnSync('gcc', ['--version']).error !== undefined) return skip('gcc is not installed');
  const program = path.join(folder, 'print');
  if (!compileLines([], program).ok) return skip('the Linux headers are not installed');
  let lines = linesOfOurs();
  const unknown: string[] = [];
  let compiled = compileLines(lines, program);
  if (!compiled.ok) {
    const bad = new Set(
      [...compiled.log.matchAll(/print\.c:(\d+):\d+: error/g)].map((match) => Number(match[1]) - firstLine),
    );
    unknown.push(...lines.filter((_, i) => bad.has(i)).map((line) => line.name));
    lines = lines.filter((_, i) => !bad.has(i));
    compiled = compileLines(lines, program);
  }
  expect(compiled.log).toBe('');
  const text = spawnSync(program, { encoding: 'utf8' }).stdout;
  const theirs = Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), BigInt(line.slice(line.lastIndexOf(' ') + 1))]),
  );
  expect(Object.fromEntries(lines.map((line) => [line.name, line.ours]))).toEqual(theirs);
  console.log(
    `${lines.length} values compared; not compared, because the installed headers lack them: ${unknown.join(', ') || 'none'}`,
  );
  // Whatever is installed is younger than breakpoints in perf: a header that lacks these was not read at all.
  expect(unknown).not.toContain('HW_BREAKPOINT_W');
  expect(unknown).not.toContain('perf_event_attr.bp_addr');
  expect(lines.length).toBeGreaterThan(100);
});
