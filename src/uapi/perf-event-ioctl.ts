/** ioctl requests of a perf event's fd. Source: linux/perf_event.h, perf_event_open(2) "perf_event ioctl calls". */
export const PERF_EVENT_IOC_ENABLE = 0x2400;
export const PERF_EVENT_IOC_DISABLE = 0x2401;
export const PERF_EVENT_IOC_REFRESH = 0x2402;
export const PERF_EVENT_IOC_RESET = 0x2403;
export const PERF_EVENT_IOC_PERIOD = 0x40082404;
export const PERF_EVENT_IOC_SET_OUTPUT = 0x2405;
export const PERF_EVENT_IOC_SET_FILTER = 0x40082406;
export const PERF_EVENT_IOC_ID = 0x80082407;
export const PERF_EVENT_IOC_SET_BPF = 0x40042408;
export const PERF_EVENT_IOC_PAUSE_OUTPUT = 0x40042409;
export const PERF_EVENT_IOC_QUERY_BPF = 0xc008240a;
export const PERF_EVENT_IOC_MODIFY_ATTRIBUTES = 0x4008240b;

/** The argument of ENABLE, DISABLE, RESET that means the whole group. */
export const PERF_IOC_FLAG_GROUP = 1;
