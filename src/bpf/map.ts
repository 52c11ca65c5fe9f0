import { type ErrnoName, errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import {
  BPF_ANY,
  BPF_EXIST,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_NOEXIST,
} from '../uapi/bpf.ts';

/** What makes a map. */
export interface MapShape {
  /** `BPF_MAP_TYPE_…`. */
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Entries at most; of a ring the bytes of its data, a power of two of at least a page. */
  readonly maxEntries: number;
}

const pageBytes = 4096;

function refuse(errno: ErrnoName, hint: string): never {
  throw new KernelError({ errno: errnoValues[errno], operation: 'bpf map', hint });
}

/** A bpf map of the interpreter, with what `bpf(2)` and the helpers do to one. */
export class InterpretedMap {
  readonly shape: MapShape;
  readonly #cpus: number;
  /** Array kinds: one value an entry (and CPU). Hash: by key, as text of its bytes. */
  readonly #values: Map<string, Uint8Array> = new Map();
  /** Records of a ring that nobody has taken yet. */
  readonly #records: Uint8Array[] = [];
  /** Bytes of the ring that they fill, headers included. */
  #ringUsed = 0;

  /** Throws `KernelError` EINVAL, as BPF_MAP_CREATE does. */
  constructor(shape: MapShape, options: { readonly cpus: number }) {
    const { type, keyBytes, valueBytes, maxEntries } = shape;
    if (maxEntries < 1) refuse('EINVAL', 'a map has entries');
    switch (type) {
      case BPF_MAP_TYPE_ARRAY:
      case BPF_MAP_TYPE_PERCPU_ARRAY:
        if (keyBytes !== 4) refuse('EINVAL', 'the key of an array has 4 bytes');
        if (valueBytes < 1) refuse('EINVAL', 'a value has bytes');
        break;
      case BPF_MAP_TYPE_HASH:
        if (keyBytes < 1 || valueBytes < 1) refuse('EINVAL', 'key and value have bytes');
        break;
      case BPF_MAP_TYPE_RINGBUF:
        if (keyBytes !== 0 || valueBytes !== 0) refuse('EINVAL', 'a ring has neither key nor value');
        if (maxEntries % pageBytes !== 0 || (maxEntries & (maxEntries - 1)) !== 0)
          refuse('EINVAL', 'a ring has 2^n pages');
        break;
      default:
        refuse('EINVAL', `map type ${type}`);
    }
    this.shape = shape;
    this.#cpus = options.cpus;
  }

  /** The value of `key` as a program on `cpu` sees it: the map's own bytes. `undefined`: there is none. */
  find(key: Uint8Array, cpu: number): Uint8Array | undefined {
    const { type, valueBytes } = this.shape;
    if (type === BPF_MAP_TYPE_RINGBUF) return undefined;
    if (type === BPF_MAP_TYPE_HASH) return this.#values.get(String(key));
    const index = indexOf(key);
    if (index >= this.shape.maxEntries) return undefined;
    const name = type === BPF_MAP_TYPE_ARRAY ? `${index}` : `${index}/${cpu}`;
    let value = this.#values.get(name);
    if (value === undefined) {
      value = new Uint8Array(valueBytes);
      this.#values.set(name, value);
    }
    return value;
  }

  /**
   * BPF_MAP_LOOKUP_ELEM: a copy of the value; of a per-CPU array the values of all CPUs one after another, each rounded
   * up to 8 bytes. Throws `KernelError` ENOENT, EOPNOTSUPP (a ring).
   */
  lookup(key: Uint8Array): Uint8Array {
    const { type, valueBytes } = this.shape;
    if (type === BPF_MAP_TYPE_RINGBUF) refuse('EOPNOTSUPP', 'a ring has no elements');
    if (type !== BPF_MAP_TYPE_PERCPU_ARRAY)
      return (this.find(key, 0) ?? refuse('ENOENT', 'no such key')).slice();
    const stride = (valueBytes + 7) & ~7;
    const all = new Uint8Array(stride * this.#cpus);
    for (let cpu = 0; cpu < this.#cpus; cpu++)
      all.set(this.find(key, cpu) ?? refuse('ENOENT', 'no such key'), cpu * stride);
    return all;
  }

  /**
   * BPF_MAP_UPDATE_ELEM. `cpu`: a program's own value of a per-CPU array; without, `value` holds those of all CPUs.
   * Throws `KernelError` EINVAL (flags), E2BIG (index, or a hash is full), EEXIST, ENOENT.
   */
  update(key: Uint8Array, value: Uint8Array, flags: number, cpu?: number): void {
    const { type, maxEntries, valueBytes } = this.shape;
    if (type === BPF_MAP_TYPE_RINGBUF) refuse('EOPNOTSUPP', 'a ring has no elements');
    if (flags !== BPF_ANY && flags !== BPF_NOEXIST && flags !== BPF_EXIST) refuse('EINVAL', 'unknown flags');
    if (type === BPF_MAP_TYPE_HASH) {
      const name = String(key);
      const found = this.#values.get(name);
      if (found === undefined) {
        if (flags === BPF_EXIST) refuse('ENOENT', 'no such key');
        if (this.#values.size >= maxEntries) refuse('E2BIG', 'the map is full');
        this.#values.set(name, value.slice(0, valueBytes));
      } else if (flags === BPF_NOEXIST) refuse('EEXIST', 'the key is there');
      else found.set(value.subarray(0, valueBytes));
      return;
    }
    if (indexOf(key) >= maxEntries) refuse('E2BIG', 'no such index');
    if (flags === BPF_NOEXIST) refuse('EEXIST', 'an array has all its elements');
    const stride = (valueBytes + 7) & ~7;
    for (let each = 0; each < this.#cpus; each++) {
      if (cpu !== undefined && each !== cpu) continue;
      const from = type === BPF_MAP_TYPE_PERCPU_ARRAY && cpu === undefined ? each * stride : 0;
      this.find(key, each)?.set(value.subarray(from, from + valueBytes));
    }
  }

  /** BPF_MAP_DELETE_ELEM. Throws `KernelError` ENOENT, EINVAL (not of an array). */
  delete(key: Uint8Array): void {
    if (this.shape.type !== BPF_MAP_TYPE_HASH) refuse('EINVAL', 'only keys of a hash can be deleted');
    if (!this.#values.delete(String(key))) refuse('ENOENT', 'no such key');
  }

  /** Appends a record to a ring, with its header of 8 bytes; false: there is no room. */
  output(record: Uint8Array): boolean {
    const bytes = recordBytes(record.length);
    if (this.#ringUsed + bytes > this.shape.maxEntries) return false;
    this.#ringUsed += bytes;
    this.#records.push(record.slice());
    return true;
  }

  /** Takes the records of a ring, oldest first. */
  takeRecords(): Uint8Array[] {
    this.#ringUsed = 0;
    return this.#records.splice(0);
  }
}

/** What a record of `lengthBytes` takes in a ring: header and padding to 8 included. */
function recordBytes(lengthBytes: number): number {
  return (lengthBytes + 8 + 7) & ~7;
}

function indexOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true);
}
