import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';
import type { WatchSession } from '../watch/watch-session.ts';

/** How the values of each watch are written. */
export function valueFormats(
  session: Pick<WatchSession, 'nameOf'> & { readonly info: Pick<WatchSession['info'], 'watches'> },
  options: { readonly raw?: boolean },
): readonly ValueFormat[] {
  return session.info.watches.map((watch) =>
    valueFormat(watch, { raw: options.raw === true, nameOf: (address) => session.nameOf(address) }),
  );
}
