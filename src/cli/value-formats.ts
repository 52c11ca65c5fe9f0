import type { HitSource } from '../watch/hit-source.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';

/** How the values of each watch are written. */
export function valueFormats(
  session: Pick<HitSource, 'nameOf'> & { readonly info: Pick<HitSource['info'], 'watches'> },
  options: { readonly raw?: boolean },
): readonly ValueFormat[] {
  return session.info.watches.map((watch) =>
    valueFormat(watch, { raw: options.raw === true, nameOf: (address) => session.nameOf(address) }),
  );
}
