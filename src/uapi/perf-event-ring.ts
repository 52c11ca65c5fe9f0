/** `perf_event_header.type`. Source: linux/perf_event.h `enum perf_event_type`. */
export const PERF_RECORD_MMAP = 1;
export const PERF_RECORD_LOST = 2;
export const PERF_RECORD_COMM = 3;
export const PERF_RECORD_EXIT = 4;
export const PERF_RECORD_THROTTLE = 5;
export const PERF_RECORD_UNTHROTTLE = 6;
export const PERF_RECORD_FORK = 7;
export const PERF_RECORD_READ = 8;
export const PERF_RECORD_SAMPLE = 9;
export const PERF_RECORD_MMAP2 = 10;
export const PERF_RECORD_AUX = 11;
export const PERF_RECORD_ITRACE_START = 12;
export const PERF_RECORD_LOST_SAMPLES = 13;

/** `perf_event_header.misc`: the low three bits are the mode that was interrupted. */
export const PERF_RECORD_MISC_CPUMODE_MASK = 7;
export const PERF_RECORD_MISC_KERNEL = 1;
export const PERF_RECORD_MISC_USER = 2;
/** In a COMM record: the name changed because the task executed a program. */
export const PERF_RECORD_MISC_COMM_EXEC = 0x2000;

/** The abi word in front of a sample's registers: 64-bit code; 0 where there are none. Source: linux/perf_event.h. */
export const PERF_SAMPLE_REGS_ABI_64 = 2;

/** Entries of a callchain at or above this (as u64, -4095) are marks of a context, not addresses. */
export const PERF_CONTEXT_MAX_LOW = 0xfffff001;
/** Low word of PERF_CONTEXT_KERNEL (-128). */
export const PERF_CONTEXT_KERNEL_LOW = 0xffffff80;
/** Low word of PERF_CONTEXT_USER (-512). */
export const PERF_CONTEXT_USER_LOW = 0xfffffe00;

/**
 * Byte offsets in the control page of a ring (`struct perf_event_mmap_page`).
 *
 *     0 version u32 | 4 compat_version u32 | 8 lock u32 | 12 index u32 | 16 offset s64 | 24 time_enabled u64
 *     32 time_running u64 | 40 capabilities u64 | ... | 72 size u32 | ... | 1024 data_head u64 | 1032 data_tail u64 | 1040 data_offset u64 | 1048 data_size u64
 */
export const perfEventMmapPageOffsets = {
  version: 0,
  compatVersion: 4,
  lock: 8,
  index: 12,
  offset: 16,
  timeEnabled: 24,
  timeRunning: 32,
  capabilities: 40,
  size: 72,
  dataHead: 1024,
  dataTail: 1032,
  dataOffset: 1040,
  dataSize: 1048,
} as const;

/** Bytes of `struct perf_event_header`: type u32@0, misc u16@4, size u16@6. */
export const PERF_EVENT_HEADER_BYTES = 8;
