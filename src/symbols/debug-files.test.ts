import { expect, test } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { encodeUtf8 } from '../base/text.ts';
import { crc32 } from './crc32.ts';
import { debugFileCandidates } from './debug-files.ts';

test('the build id comes before the debug link, each place once', () => {
  const debugLink = { name: 'ls.debug', crc32: 1 };
  expect(debugFileCandidates({ modulePath: '/usr/bin/ls', buildId: 'abcdef01', debugLink })).toEqual([
    '/usr/lib/debug/.build-id/ab/cdef01.debug',
    '/usr/bin/ls.debug',
    '/usr/bin/.debug/ls.debug',
    '/usr/lib/debug/usr/bin/ls.debug',
  ]);
  expect(debugFileCandidates({ modulePath: '/usr/bin/ls' })).toEqual([]);
});

test('a debug link that leads elsewhere, or to the module itself, is not followed', () => {
  for (const name of ['../../etc/passwd', '/etc/passwd', '..', '.', '']) {
    expect(debugFileCandidates({ modulePath: '/usr/bin/ls', debugLink: { name, crc32: 1 } })).toEqual([]);
  }
  const itself = debugFileCandidates({ modulePath: '/bin/ls', debugLink: { name: 'ls', crc32: 1 } });
  expect(itself).not.toContain('/bin/ls');
});

test('the checksum is the CRC-32 of zlib', () => {
  expect(crc32(bytesSource(encodeUtf8('123456789')))).toBe(0xcbf4_3926);
  expect(crc32(bytesSource(new Uint8Array(0)))).toBe(0);
});
