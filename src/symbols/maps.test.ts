import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMaps } from './maps.ts';

test('a file, anonymous memory and a named region are told apart', () => {
  const text = `55e4c1a00000-55e4c1a02000 r-xp 00001000 fd:01 1234                       /opt/my prog/a b
55e4c2000000-55e4c2021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rw-s 00000000 00:00 0 
7f0000002000-7f0000003000 ---p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;
  const mappings = parseMaps(text);
  expect(mappings).toEqual([
    {
      start: 0x55e4c1a00000n,
      end: 0x55e4c1a02000n,
      readable: true,
      writable: false,
      executable: true,
      shared: false,
      offset: 0x1000n,
      device: 'fd:01',
      inode: 1234n,
      path: '/opt/my prog/a b',
    },
    expect.objectContaining({ path: '[heap]', inode: 0n, writable: true }),
    expect.objectContaining({ path: '', shared: true }),
    expect.objectContaining({ path: '', readable: false }),
    expect.objectContaining({ start: 0xffffffffff600000n, path: '[vsyscall]' }),
  ]);
});

test('escaped newlines, deleted files and wide device numbers are understood', () => {
  const line = '7f00-7f01 r--p 00000000 103:0a2 18446744073709551615 /tmp/a\\012b (deleted)';
  expect(parseMaps(line)).toMatchObject([
    { path: '/tmp/a\nb', deleted: true, device: '103:0a2', inode: 0xffff_ffff_ffff_ffffn },
  ]);
  expect(parseMaps('7f00-7f01 r--p 00000000 00:05 9 /memfd:x (deleted)')).toMatchObject([
    { path: '/memfd:x' },
  ]);
});

test('what is not a mapping is left out', () => {
  expect(parseMaps('')).toEqual([]);
  expect(parseMaps('hello\n7f00-7f01 r--p 000\n')).toEqual([]);
  fc.assert(fc.property(fc.string(), (text) => parseMaps(text).length >= 0));
});
