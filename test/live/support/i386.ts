/**
 * A static i386 program, by hand: alarm(30) through int 0x80, then pause(2) for ever.
 *
 *     0x00 ELF header (52 bytes) | 0x34 one program header (32 bytes) | 0x54 code
 */
export function i386Program(): Buffer {
  const base = 0x0804_8000;
  const code = [
    ...[0xb8, 27, 0, 0, 0], // mov eax, 27 (alarm)
    ...[0xbb, 30, 0, 0, 0], // mov ebx, 30
    ...[0xcd, 0x80], // int 0x80
    ...[0xb8, 29, 0, 0, 0], // mov eax, 29 (pause)
    ...[0xcd, 0x80], // int 0x80
    ...[0xeb, 0xf7], // jmp to the mov before
  ];
  const start = 0x54;
  const bytes = Buffer.alloc(start + code.length);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]); // ELFCLASS32, little endian
  bytes.writeUInt16LE(2, 0x10); // ET_EXEC
  bytes.writeUInt16LE(3, 0x12); // EM_386
  bytes.writeUInt32LE(1, 0x14);
  bytes.writeUInt32LE(base + start, 0x18); // entry
  bytes.writeUInt32LE(0x34, 0x1c); // program headers
  bytes.writeUInt16LE(0x34, 0x28);
  bytes.writeUInt16LE(0x20, 0x2a);
  bytes.writeUInt16LE(1, 0x2c);
  bytes.writeUInt16LE(0x28, 0x2e);
  bytes.writeUInt32LE(1, 0x34); // PT_LOAD
  bytes.writeUInt32LE(base, 0x3c);
  bytes.writeUInt32LE(base, 0x40);
  bytes.writeUInt32LE(bytes.length, 0x44);
  bytes.writeUInt32LE(bytes.length, 0x48);
  bytes.writeUInt32LE(5, 0x4c); // read, execute
  bytes.writeUInt32LE(0x1000, 0x50);
  bytes.set(code, start);
  return bytes;
}
