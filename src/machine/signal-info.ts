/** What a handler sees of a signal. Source: sigaction(2), `siginfo_t`. */
export interface SignalInfo {
  readonly signal: number;
  readonly code: number;
  /** si_addr. */
  readonly address: bigint;
  /** si_perf_data, for TRAP_PERF. */
  readonly data?: bigint;
  /** si_perf_flags, for TRAP_PERF: bit 0 = asynchronous. */
  readonly flags?: number;
  /** si_perf_type, for TRAP_PERF. */
  readonly type?: number;
  /** si_fd, for a signal about a file. */
  readonly fd?: number;
}
