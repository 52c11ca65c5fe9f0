import type { HitSource } from '../watch/hit-source.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';

/** How the values of a watch are written. */
export function valueFormats(
  session: Pick<HitSource, 'nameOf'> & { readonly info: Pick<HitSource['info'], 'watches'> },
  options: { readonly raw?: boolean },
): (watch: PlannedWatch) => ValueFormat {
  const formats = new WeakMap<PlannedWatch, ValueFormat>();
  return (watch) => {
    let format = formats.get(watch);
    if (format === undefined) {
      format = valueFormat(watch, {
        raw: options.raw === true,
        nameOf: (address) => session.nameOf(address),
      });
      formats.set(watch, format);
    }
    return format;
  };
}
