import {
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_map_delete_elem,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_ringbuf_output,
  BPF_FUNC_send_signal,
} from '../uapi/bpf.ts';

/** What an argument of a helper must be. */
export type HelperArgument =
  /** Any number. */
  | 'number'
  | 'map'
  /** Memory that holds a key, or a value, of the map in the first argument. */
  | 'key'
  | 'value'
  /** Memory that is read, or written; the argument behind is its length, a constant. */
  | 'readable'
  | 'writable'
  | 'size';

/** A helper as a program may call it. Source: bpf-helpers(7). */
export interface HelperShape {
  readonly name: string;
  readonly arguments: readonly HelperArgument[];
  readonly result: 'number' | 'value of the map, or 0';
}

/** The helpers that programs of a perf event may call here. */
export const helperShapes: ReadonlyMap<number, HelperShape> = new Map<number, HelperShape>([
  [
    BPF_FUNC_map_lookup_elem,
    { name: 'map_lookup_elem', arguments: ['map', 'key'], result: 'value of the map, or 0' },
  ],
  [
    BPF_FUNC_map_update_elem,
    { name: 'map_update_elem', arguments: ['map', 'key', 'value', 'number'], result: 'number' },
  ],
  [BPF_FUNC_map_delete_elem, { name: 'map_delete_elem', arguments: ['map', 'key'], result: 'number' }],
  [BPF_FUNC_ktime_get_ns, { name: 'ktime_get_ns', arguments: [], result: 'number' }],
  [BPF_FUNC_get_smp_processor_id, { name: 'get_smp_processor_id', arguments: [], result: 'number' }],
  [BPF_FUNC_get_current_pid_tgid, { name: 'get_current_pid_tgid', arguments: [], result: 'number' }],
  [
    BPF_FUNC_get_current_comm,
    { name: 'get_current_comm', arguments: ['writable', 'size'], result: 'number' },
  ],
  [BPF_FUNC_send_signal, { name: 'send_signal', arguments: ['number'], result: 'number' }],
  [
    BPF_FUNC_probe_read_user,
    { name: 'probe_read_user', arguments: ['writable', 'size', 'number'], result: 'number' },
  ],
  [
    BPF_FUNC_probe_read_kernel,
    { name: 'probe_read_kernel', arguments: ['writable', 'size', 'number'], result: 'number' },
  ],
  [
    BPF_FUNC_ringbuf_output,
    { name: 'ringbuf_output', arguments: ['map', 'readable', 'size', 'number'], result: 'number' },
  ],
]);

/** What helpers reach of the world: the kernel that runs the program. */
export interface BpfWorld {
  /** The number of the CPU. */
  readonly cpu: number;
  nowNs(): bigint;
  /** Of the interrupted task; 0 and an empty name where there is none. */
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  /** Bytes of user or kernel memory; `undefined`: they cannot be read. */
  readUser(address: bigint, lengthBytes: number): Uint8Array | undefined;
  readKernel(address: bigint, lengthBytes: number): Uint8Array | undefined;
  /** Sends a signal to the interrupted process; 0, or a negative errno. */
  sendSignal(signal: number): number;
}
