/**
 * A copy of the WebAssembly module `bytes` whose own memory may not grow beyond `mostPages` pages of 64 KiB: what asks
 * for more then fails inside the module, instead of taking the process's memory.
 *
 * ```
 * module  = magic version section*        section = id u8, size uleb, content
 * memory section (id 5) = count uleb, limits*        limits = 0 min uleb | 1 min uleb max uleb
 * ```
 * Source: WebAssembly specification, "Binary Format", "Modules".
 *
 * @throws {RangeError} if the module has no memory of its own without a limit.
 */
export function withMemoryLimit(bytes: Uint8Array, mostPages: number): Uint8Array<ArrayBuffer> {
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at];
    const size = readUleb(bytes, at + 1);
    const contentAt = size.end;
    if (id === 5) {
      const count = readUleb(bytes, contentAt);
      const isPlain = count.value === 1 && bytes[count.end] === 0;
      if (!isPlain) break;
      const minimum = readUleb(bytes, count.end + 1);
      const content = [1, 1, ...uleb(minimum.value), ...uleb(Math.max(minimum.value, mostPages))];
      const section = [5, ...uleb(content.length), ...content];
      const rest = bytes.subarray(contentAt + size.value);
      const limited = new Uint8Array(at + section.length + rest.length);
      limited.set(bytes.subarray(0, at));
      limited.set(section, at);
      limited.set(rest, at + section.length);
      return limited;
    }
    at = contentAt + size.value;
  }
  throw new RangeError('the WebAssembly module has no memory of its own without a limit');
}

function readUleb(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  let end = at;
  for (;;) {
    const byte = bytes[end++];
    if (byte === undefined) throw new RangeError('the WebAssembly module is cut');
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) return { value, end };
    scale *= 128;
  }
}

function uleb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 128) | (rest >= 128 ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return bytes;
}
