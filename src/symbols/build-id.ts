import { viewOf } from './elf-headers.ts';

/**
 * The build id in the notes `bytes`, in lower-case hex, or `undefined` if there is none.
 *
 * ```
 * note = namesz u32 | descsz u32 | type u32 | name, padded | desc, padded      build id: name "GNU\0", type 3
 * ```
 * Padded to 4 bytes, or to 8 where the segment or section is aligned to 8. Notes that claim more than there is end
 * the search. Source: elf(5), "Notes (Nhdr)"; the GNU build-id note is of the linker's --build-id.
 */
export function findBuildId(bytes: Uint8Array, alignBytes: 4 | 8): string | undefined {
  const view = viewOf(bytes);
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameBytes = view.getUint32(at, true);
    const descBytes = view.getUint32(at + 4, true);
    const nameAt = at + 12;
    const descAt = at + roundUp(12 + nameBytes, alignBytes);
    const end = descAt + descBytes;
    if (end > bytes.length) return undefined;
    const isBuildId = view.getUint32(at + 8, true) === NT_GNU_BUILD_ID && nameBytes === 4 && descBytes > 0;
    if (isBuildId && view.getUint32(nameAt, true) === gnuName && descBytes <= mostBuildIdBytes) {
      return hexBytes(bytes.subarray(descAt, end));
    }
    at = descAt + roundUp(descBytes, alignBytes);
  }
  return undefined;
}

const NT_GNU_BUILD_ID = 3;
// "GNU\0" as a little-endian word.
const gnuName = 0x0055_4e47;
// SHA-1 has 20 bytes, SHA-256 has 32; what is longer than this is not a build id.
const mostBuildIdBytes = 64;

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function hexBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
