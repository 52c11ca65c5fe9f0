import type { AddressSpace } from './address-space.ts';
import type { Module } from './module.ts';

/**
 * Where the threads of a process keep their thread-local variables, read from its memory while it runs. The C library
 * says itself how: GNU's has descriptions of its own structs for libthread_db, symbols `_thread_db_…` of three u32 each
 * (size in bits, count, offset), in every version and architecture.
 *
 * ```
 * _rtld_global + _dl_stack_user, _dl_stack_used   lists of all threads: struct pthread, linked by its `list`
 *   struct pthread   tid, dtvp → dtv[module id].pointer.val: the thread's block of a module
 * _r_debug.r_map     list of link_map, one a module, found by its l_addr: l_tls_modid, l_tls_offset
 * ```
 * On x86-64 a block that no dtv has yet, but whose place is fixed, is `l_tls_offset` below struct pthread (TLS variant
 * II). Source: ELF Handling For Thread-Local Storage (Drepper); nptl_db of glibc as documented in thread_db.h's users.
 */
export class GlibcThreads {
  readonly #space: AddressSpace;

  constructor(space: AddressSpace) {
    this.#space = space;
  }

  /** The address of byte `offset` of the block that `module` has in the thread `tid`; a text says why there is none. */
  address(module: Module, offset: bigint, tid: number): bigint | string {
    const tidAt = this.#field('pthread_tid');
    const dtvAt = this.#field('pthread_dtvp');
    const dtvEntry = this.#field('dtv_dtv');
    if (tidAt === undefined || dtvAt === undefined || dtvEntry === undefined) {
      return 'the thread-local variables of a process are found through the GNU C library only, and this one has none that describes itself (_thread_db_… symbols)';
    }
    const pthread = this.#pthreadOf(tid, tidAt.offset);
    if (pthread === undefined) return `thread ${tid} is not in the C library's list of threads`;
    const map = this.#linkMapOf(module);
    const moduleId = map === undefined ? 1n : this.#word(map, this.#field('link_map_l_tls_modid'));
    if (moduleId === undefined || moduleId === 0n || moduleId > mostModules) {
      return `${module.name} has no thread-local block`;
    }
    const dtv = this.#pointer(pthread + dtvAt.offset);
    const entryBytes = BigInt(dtvEntry.bits / 8);
    const value = this.#field('dtv_t_pointer_val');
    if (dtv !== undefined) {
      const block = this.#pointer(dtv + moduleId * entryBytes + (value?.offset ?? 0n));
      if (block !== undefined && block !== 0n && block !== unallocated) return wrapped(block + offset);
    }
    const below = map === undefined ? undefined : this.#word(map, this.#field('link_map_l_tls_offset'));
    const isFixed = below !== undefined && below > 0n && below < mostStaticBytes;
    if (isFixed && this.#space.modules()[0]?.file?.machine === 'x86-64')
      return wrapped(pthread - below + offset);
    return `thread ${tid} has no block of ${module.name} yet: it gets one when it first uses it`;
  }

  #pthreadOf(tid: number, tidOffset: bigint): bigint | undefined {
    const listAt = this.#field('pthread_list')?.offset;
    const nextAt = this.#field('list_t_next')?.offset ?? 0n;
    if (listAt === undefined) return undefined;
    for (const head of this.#listHeads()) {
      let node = this.#pointer(head + nextAt);
      for (let i = 0; i < mostThreads && node !== undefined && node !== 0n && node !== head; i++) {
        const pthread = wrapped(node - listAt);
        if (this.#u32(pthread + tidOffset) === tid) return pthread;
        node = this.#pointer(node + nextAt);
      }
    }
    return undefined;
  }

  #listHeads(): bigint[] {
    const heads: bigint[] = [];
    const global = this.#symbol('_rtld_global');
    for (const name of ['_dl_stack_user', '_dl_stack_used']) {
      const field = global === undefined ? undefined : this.#field(`rtld_global_${name}`);
      // A program without a loader has the lists as variables of its own.
      const head = field === undefined || global === undefined ? this.#symbol(name) : global + field.offset;
      if (head !== undefined) heads.push(head);
    }
    return heads;
  }

  #linkMapOf(module: Module): bigint | undefined {
    const debug = this.#symbol('_r_debug');
    let map = debug === undefined ? undefined : this.#pointer(debug + 8n);
    for (let i = 0; i < mostModules && map !== undefined && map !== 0n; i++) {
      const bias = this.#pointer(map);
      const dynamic = this.#pointer(map + 16n);
      if (
        bias === module.bias &&
        dynamic !== undefined &&
        dynamic >= module.loadAddress &&
        dynamic < module.end
      ) {
        return map;
      }
      map = this.#pointer(map + 24n);
    }
    return undefined;
  }

  /** A description of a field, by its name behind "_thread_db_". */
  #field(name: string): { readonly bits: number; readonly offset: bigint } | undefined {
    const address = this.#symbol(`_thread_db_${name}`);
    if (address === undefined) return undefined;
    const bits = this.#u32(address);
    const offset = this.#u32(address + 8n);
    return bits === undefined || offset === undefined ? undefined : { bits, offset: BigInt(offset) };
  }

  #word(struct: bigint, field: { readonly offset: bigint } | undefined): bigint | undefined {
    return field === undefined ? undefined : this.#pointer(struct + field.offset);
  }

  #symbol(name: string): bigint | undefined {
    const found = this.#space.resolve({ name });
    return found.kind === 'found' ? found.address : undefined;
  }

  #pointer(address: bigint): bigint | undefined {
    const bytes = this.#space.readMemory(wrapped(address), 8);
    if (bytes === undefined || bytes.length < 8) return undefined;
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }

  #u32(address: bigint): number | undefined {
    const bytes = this.#space.readMemory(wrapped(address), 4);
    if (bytes === undefined || bytes.length < 4) return undefined;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }
}

function wrapped(address: bigint): bigint {
  return BigInt.asUintN(64, address);
}

/** TLS_DTV_UNALLOCATED. */
const unallocated = 0xffff_ffff_ffff_ffffn;
// Lists that a broken process, or one that is writing them, may make endless.
const mostThreads = 100_000;
const mostModules = 10_000n;
const mostStaticBytes = 1n << 31n;
