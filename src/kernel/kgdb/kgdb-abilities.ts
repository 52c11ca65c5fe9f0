import { PeerError } from '../../gdb/errors.ts';
import type { BreakpointAbility, GdbTarget } from '../../gdb/target.ts';
import type { Kgdb, KgdbRequest } from './kgdb.ts';

function ability(kgdb: Kgdb, kind: KgdbRequest['kind']): BreakpointAbility {
  return {
    insert: (address, lenBytes) => {
      if (kgdb.set({ kind, address, lenBytes }) !== 0)
        throw new PeerError('EPERM', 'no register, no such breakpoint, or not now');
    },
    remove: (address) => {
      if (kgdb.remove(address) !== 0) throw new PeerError('EPERM', 'there is none, or not now');
    },
  };
}

/**
 * The debugger's breakpoints as the GDB protocol asks for them. Read watchpoints are known and refused, as an architecture
 * without them does: "E01". docs/spec/04 section 8.
 */
export function kgdbBreakpoints(kgdb: Kgdb): NonNullable<GdbTarget['breakpoints']> {
  return {
    hardware: ability(kgdb, 'hardware'),
    write: ability(kgdb, 'write'),
    read: ability(kgdb, 'read'),
    access: ability(kgdb, 'access'),
  };
}
