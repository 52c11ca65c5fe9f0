import { assert } from '../../base/assert.ts';
import type { PuppetCode } from './puppet-code.ts';
import { pageBytes, puppetLayout } from './puppet-layout.ts';

const ret = 0xc3;
const programPages = 2;
const headerBytes = 64;
const segmentBytes = 56;

/**
 * The executable of a puppet that is to live at `base`: a static ELF of one readable and executable segment, code labels
 * first. Source: elf(5).
 *
 *     page 0     ELF header at 0, program header at 64; not loaded
 *     page 1     loaded at `base`: the code labels, all `ret`
 *     page 2, 3  the program
 */
export function puppetImage(code: PuppetCode, base: bigint): Uint8Array {
  assert(code.bytes.length <= programPages * pageBytes, 'the program fits its pages');
  const image = new Uint8Array((2 + programPages) * pageBytes);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // magic; 64 bits, little-endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, base + BigInt(puppetLayout.program + code.offset('start')), true); // e_entry
  view.setBigUint64(32, BigInt(headerBytes), true); // e_phoff
  view.setUint16(52, headerBytes, true);
  view.setUint16(54, segmentBytes, true);
  view.setUint16(56, 2, true); // e_phnum
  const segment = (n: number, type: number, flags: number): number => {
    view.setUint32(headerBytes + n * segmentBytes, type, true);
    view.setUint32(headerBytes + n * segmentBytes + 4, flags, true);
    return headerBytes + n * segmentBytes;
  };
  const load = segment(0, 1, 5); // PT_LOAD, R+X
  const loadedBytes = BigInt((1 + programPages) * pageBytes);
  view.setBigUint64(load + 8, BigInt(pageBytes), true); // p_offset
  view.setBigUint64(load + 16, base, true); // p_vaddr
  view.setBigUint64(load + 24, base, true);
  view.setBigUint64(load + 32, loadedBytes, true); // p_filesz
  view.setBigUint64(load + 40, loadedBytes, true); // p_memsz
  view.setBigUint64(load + 48, BigInt(pageBytes), true); // p_align
  segment(1, 0x6474_e551, 6); // PT_GNU_STACK, R+W
  image.fill(ret, pageBytes, 2 * pageBytes);
  image.set(code.bytes, 2 * pageBytes);
  return image;
}
