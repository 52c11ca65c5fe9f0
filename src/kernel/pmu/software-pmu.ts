import type { RegisterImage } from '../../arch/architecture.ts';
import { PERF_TYPE_SOFTWARE, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { startPeriod } from './period.ts';
import type { AddOptions, Pmu, PmuCaller, PmuEvent } from './pmu.ts';

/** Software events that there are: `config` 0 to 11. Source: linux/perf_event.h `enum perf_sw_ids`. */
const softwareEvents = 12n;

/**
 * Software events, type 1: they need no register. On this machine no page faults and nothing else of theirs happens,
 * so they count 0; they serve as leaders of groups and as carriers of side information.
 */
export class SoftwarePmu implements Pmu {
  readonly name = 'software';

  claims(attr: PerfEventAttr): boolean {
    return attr.type === PERF_TYPE_SOFTWARE && (attr.config ?? 0n) < softwareEvents;
  }

  init(_event: PmuEvent, _attr: PerfEventAttr, _caller: PmuCaller, _original: PmuEvent | null): void {}

  add(event: PmuEvent, _image: RegisterImage | null, options: AddOptions): boolean {
    event.stopped = !options.start;
    if (event.period !== 0) startPeriod(event);
    return true;
  }

  del(_event: PmuEvent, _image: RegisterImage | null): void {}

  start(event: PmuEvent): void {
    event.stopped = false;
  }

  stop(event: PmuEvent): void {
    event.stopped = true;
  }

  read(_event: PmuEvent, _image: RegisterImage | null): void {}

  destroy(_event: PmuEvent): void {}
}
