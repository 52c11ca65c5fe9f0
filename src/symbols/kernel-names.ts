import { hex } from '../base/hex.ts';
import type { Btf } from './btf/btf.ts';
import type { Kallsyms } from './kallsyms.ts';
import type { TypeDescription } from './types.ts';

/** What the kernel says of its own names. */
export interface KernelNameSources {
  /** `undefined` where it cannot be read. */
  readonly kallsyms: Kallsyms | undefined;
  /** The kernel's types; asked for only when a name needs them. */
  readonly btf: () => Btf | undefined;
}

/** A kernel symbol's place. */
export interface KernelPlace {
  readonly address: bigint;
  readonly isFunction: boolean;
  /** Where BTF has the variable: most kernels list per-CPU ones only. */
  readonly type?: TypeDescription;
  readonly sizeBytes?: number;
}

/**
 * The place of a kernel name, or why it has none, as the end of a sentence. A per-CPU variable has no address of its own:
 * each CPU has a copy, at the symbol's value plus that CPU's offset (`__per_cpu_offset`), which only the kernel's
 * memory holds.
 */
export function resolveKernelName(
  name: string,
  { kallsyms, btf }: KernelNameSources,
): KernelPlace | { readonly why: string } {
  if (kallsyms === undefined) return { why: '/proc/kallsyms cannot be read' };
  if (kallsyms.hidden) {
    return {
      why: 'the kernel hides its addresses (/proc/kallsyms shows zeros); become root or set kernel.kptr_restrict to 0',
    };
  }
  const [first, ...others] = kallsyms.find(name);
  const isFunction = first !== undefined && /[tw]/i.test(first.type);
  const variable = isFunction ? undefined : btf()?.variable(name);
  if (variable?.section === '.data..percpu') {
    const place =
      first === undefined
        ? 'this kernel does not tell where it is (/proc/kallsyms has no such symbol)'
        : `the symbol's ${hex(first.address)} is the place in every copy, not an address`;
    return {
      why: `a per-CPU variable of the kernel (${variable.type.name}, ${variable.sizeBytes} bytes), a copy for each CPU: ${place}; give the address of a copy`,
    };
  }
  if (first === undefined) {
    const known = variable === undefined ? '' : `, though BTF knows it as ${variable.type.name}`;
    return {
      why: `no kernel symbol '${name}' in /proc/kallsyms${known} (kernels often list functions only; give an address)`,
    };
  }
  if (others.length > 0) {
    const all = [first, ...others].slice(0, 5).map(({ address }) => hex(address));
    return { why: `${others.length + 1} kernel symbols have this name: ${all.join(' ')}; give the address` };
  }
  if (first.address < kernelHalf) {
    return {
      why: `${hex(first.address)} is no address (the place of a per-CPU variable in every CPU's copy)`,
    };
  }
  return {
    address: first.address,
    isFunction,
    ...(variable === undefined ? {} : { type: variable.type, sizeBytes: variable.sizeBytes }),
  };
}

const kernelHalf = 1n << 63n;
