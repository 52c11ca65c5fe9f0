import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

// Guests for QEMU: programs without an operating system, assembled from what stands here. Each stores to `counter` and then
// turns its machine off.

/** A guest, and how QEMU runs it. */
export interface Guest {
  /** Its symbols. */
  readonly elf: string;
  readonly qemu: string;
  readonly args: readonly string[];
}

/** Enters 64-bit mode from the reset vector; one store a round, and the load that ends it. */
const x86Source = `
.code16
.text
.globl _start
_start:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x83, 0x3000
  lgdtl %cs:(gdt_pointer - 0xf0000)
  movl $0x20, %eax
  movl %eax, %cr4
  movl $0x1000, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  orl $0x80000001, %eax
  movl %eax, %cr0
  ljmpl $8, $long_mode
.code64
long_mode:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %ss
  movl $0x8000, %esp
  call count
  movb $0xfe, %al
  outb %al, $0x64
1: hlt
  jmp 1b
.type count, @function
count:
  movl $STORES, %ecx
1: incl counter
  decl %ecx
  jnz 1b
  movl counter, %eax
  ret
.size count, . - count
.balign 8
gdt: .quad 0, 0x00209a0000000000, 0x0000920000000000
gdt_pointer: .word 23
  .long gdt
.org 0xfff0
.code16
  ljmpw $0xf000, $0
.org 0x10000
.bss
.globl counter
.type counter, @object
.size counter, 4
counter: .zero 4
`;

/** Two stores one behind the other a round: who steps over too much misses the second. */
const arm64Source = `
.text
.globl _start
_start:
  adrp x0, counter
  add x0, x0, :lo12:counter
  mov w3, #STORES / 2
  mov w1, #0
.type count, @function
count:
1: add w1, w1, #1
  str w1, [x0]
  str w1, [x0]
  subs w3, w3, #1
  b.ne 1b
.size count, . - count
  movz w0, #0x8400, lsl #16
  movk w0, #0x8
  hvc #0
1: wfi
  b 1b
.bss
.balign 8
.globl counter
.type counter, @object
.size counter, 4
counter: .zero 4
`;

const display = ['-accel', 'tcg', '-display', 'none', '-nodefaults', '-no-reboot', '-S'];

/** Why guests of an architecture cannot be run here, in words; `undefined`: they can. */
export function guestObstacle(architecture: 'x86-64' | 'arm64'): string | undefined {
  const programs =
    architecture === 'x86-64'
      ? ['qemu-system-x86_64', 'gcc', 'objcopy']
      : ['qemu-system-aarch64', 'aarch64-linux-gnu-as', 'aarch64-linux-gnu-ld'];
  const missing = programs.filter((one) => spawnSync(one, ['--version'], { stdio: 'ignore' }).status !== 0);
  return missing.length === 0 ? undefined : `${missing.join(', ')} not installed`;
}

function run(program: string, args: readonly string[], input: string): void {
  const { status, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}

/** Assembles a guest that makes `stores` stores, into `folder`. */
export function buildGuest(architecture: 'x86-64' | 'arm64', folder: string, stores: number): Guest {
  const elf = path.join(folder, `guest-${architecture}.elf`);
  if (architecture === 'arm64') {
    const object = `${elf}.o`;
    run('aarch64-linux-gnu-as', ['-o', object, '-'], arm64Source.replaceAll('STORES', String(stores)));
    run('aarch64-linux-gnu-ld', ['-Ttext=0x40100000', '-e', '_start', '-o', elf, object], '');
    const args = ['-machine', 'virt', '-cpu', 'cortex-a57', '-kernel', elf, ...display];
    return { elf, qemu: 'qemu-system-aarch64', args };
  }
  const options = ['-Ttext=0xf0000', '--section-start=.bss=0x9000', '--build-id=none', '-e_start'];
  run(
    'gcc',
    ['-nostdlib', '-static', '-no-pie', `-Wl,${options.join(',')}`, '-o', elf, '-x', 'assembler', '-'],
    x86Source.replaceAll('STORES', String(stores)),
  );
  const rom = `${elf}.bin`;
  run('objcopy', ['-O', 'binary', '-j', '.text', elf, rom], '');
  return { elf, qemu: 'qemu-system-x86_64', args: ['-machine', 'pc', '-bios', rom, ...display] };
}

/** Starts QEMU with its stub on a socket, the guest standing; it is there when this returns. */
export async function startGuest(guest: Guest, socket: string): Promise<ChildProcess> {
  fs.rmSync(socket, { force: true });
  const child = spawn(guest.qemu, [...guest.args, '-gdb', `unix:${socket},server=on,wait=off`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  while (!fs.existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`${guest.qemu}: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return child;
}
