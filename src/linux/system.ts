import { assert } from '../base/assert.ts';
import { KernelError } from '../base/kernel-error.ts';
import { encodeUtf8 } from '../base/text.ts';
import { type Ffi, loadFfi } from './ffi.ts';

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Room for everything that one call shows to the kernel at a time. */
const arenaBytes = 1 << 20;

/** Memory that the kernel is shown, with views of it. Valid until the {@link System.scratch} that gave it returns. */
export interface Scratch {
  /** Zeroed memory, 16-byte aligned. */
  alloc(lengthBytes: number): {
    readonly address: number;
    readonly bytes: Uint8Array;
    readonly view: DataView;
  };
  /** `bytes` copied there. */
  put(bytes: Uint8Array): number;
  /** `text` as UTF-8 with a NUL behind. */
  string(text: string): number;
}

/**
 * This process's access to Linux: the FFI and one arena. What the kernel is shown lies in the arena, because the
 * address of a JavaScript array does not keep the array alive, or in one place.
 */
export class System {
  readonly ffi: Ffi;
  readonly #arenaAddress: number;
  readonly #arena: Uint8Array;
  #used: number = 0;

  constructor() {
    this.ffi = loadFfi();
    this.#arenaAddress = this.ffi.mmap(arenaBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1);
    if (this.#arenaAddress === -1) this.fail(`mmap(${arenaBytes} bytes)`);
    this.#arena = new Uint8Array(this.ffi.view(this.#arenaAddress, arenaBytes));
  }

  /** Throws the failure of the call that was made last. */
  fail(operation: string, hint?: string): never {
    throw new KernelError({ errno: this.ffi.errno(), operation, ...(hint === undefined ? {} : { hint }) });
  }

  /** `result`, unless it says that the call failed. */
  check(result: number, operation: string): number {
    if (result < 0) this.fail(operation);
    return result;
  }

  /** Runs `use` with scratch memory; uses nest. */
  scratch<Result>(use: (scratch: Scratch) => Result): Result {
    const mark = this.#used;
    const alloc: Scratch['alloc'] = (lengthBytes) => {
      const start = this.#used;
      const end = start + ((lengthBytes + 15) & ~15);
      assert(end <= arenaBytes, `scratch of ${lengthBytes} bytes does not fit the arena`);
      this.#used = end;
      const bytes = this.#arena.subarray(start, start + lengthBytes);
      bytes.fill(0);
      return {
        address: this.#arenaAddress + start,
        bytes,
        view: new DataView(bytes.buffer, bytes.byteOffset, lengthBytes),
      };
    };
    const put = (bytes: Uint8Array): number => {
      const block = alloc(bytes.length);
      block.bytes.set(bytes);
      return block.address;
    };
    try {
      return use({ alloc, put, string: (text) => put(encodeUtf8(`${text}\0`)) });
    } finally {
      this.#used = mark;
    }
  }

  /** Memory that lasts: for rings of requests, poll arrays, machine code. Never freed; bounded by the few users. */
  map(lengthBytes: number, protection: number = PROT_READ_WRITE): { address: number; buffer: ArrayBuffer } {
    const address = this.ffi.mmap(lengthBytes, protection, MAP_PRIVATE_ANONYMOUS, -1);
    if (address === -1) this.fail(`mmap(${lengthBytes} bytes)`);
    return { address, buffer: this.ffi.view(address, lengthBytes) };
  }
}
