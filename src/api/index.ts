// The public entry `trapline`.
export { KernelError } from '../base/kernel-error.ts';
export { HitColumns, hitFlags, type ValueColumns, valueFlags, valueSources } from '../ring/hit-columns.ts';
export type { ExitStatus } from '../surface/tasks.ts';
export type { CodeLocation } from '../symbols/code-location.ts';
export type { WatchCounts } from '../watch/arm.ts';
export type { CodeAccess } from '../watch/code-sites.ts';
export { WatchError } from '../watch/errors.ts';
export type { Hit } from '../watch/hit-reader.ts';
export type { ArmedInfo, EndReason } from '../watch/hit-source.ts';
export type { PlannedWatch } from '../watch/plan.ts';
export type { HitValue, ValueWords } from '../watch/values/hit-value.ts';
export { parseWatchRequest, type WatchAccess, type WatchRequest } from '../watch/watch-request.ts';
export { doctor } from './doctor/doctor.ts';
export type { DoctorCheck, DoctorFacts, DoctorReport } from './doctor/report.ts';
export { type Watch, type WatchBatch, type WatchOptions, type WatchSummary, watch } from './watch.ts';
