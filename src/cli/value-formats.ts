import type { Hit } from '../watch/hit-reader.ts';
import type { HitSource } from '../watch/hit-source.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import { type ValueFormat, type ValueShape, valueFormat } from '../watch/values/value-format.ts';

/** How the values of a watch are written. */
export function valueFormats(
  session: Pick<HitSource, 'nameOf'> & { readonly info: Pick<HitSource['info'], 'watches'> },
  options: { readonly raw?: boolean },
): (hit: Pick<Hit, 'watch' | 'element'>) => ValueFormat {
  const made = (shape: ValueShape): ValueFormat =>
    valueFormat(shape, { raw: options.raw === true, nameOf: (address) => session.nameOf(address) });
  const formats = new WeakMap<PlannedWatch, ValueFormat>();
  /** By the text: there is no more than a slice has elements. */
  const ofElements = new Map<string, ValueFormat>();
  return ({ watch, element }) => {
    let format = element === undefined ? formats.get(watch) : ofElements.get(element.text);
    if (format === undefined) {
      format = made(element ?? watch);
      if (element === undefined) formats.set(watch, format);
      else ofElements.set(element.text, format);
    }
    return format;
  };
}
