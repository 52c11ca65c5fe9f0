/** One line of /proc/PID/maps: the bytes [start, end) of a process's memory, and what is behind them. */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** MAP_SHARED; otherwise private (copy on write). */
  readonly shared: boolean;
  /** Offset in the file. */
  readonly offset: bigint;
  /** Major and minor number in hex, two digits at least: "fd:01". */
  readonly device: string;
  /** 0 for what no file is behind. */
  readonly inode: bigint;
  /** The file's path, '' for anonymous memory, or a name in brackets: "[heap]", "[vdso]". */
  readonly path: string;
  /** Whether the file has been unlinked since (the kernel's " (deleted)", not part of `path`). */
  readonly deleted?: boolean;
}

/**
 * Reads /proc/PID/maps.
 *
 * ```
 * 7f2c8a428000-7f2c8a5bd000 r-xp 00028000 fd:01 6686       /usr/lib/libc.so.6
 * start        end          perm offset   dev   inode      path, to the end of the line; may be missing
 * ```
 * perm is `r` `w` `x`, or `-` each, then `p` (private) or `s` (shared). A newline in a path is written `\012`; nothing else is
 * escaped, so a path that really has these four characters, or ends in " (deleted)", cannot be told from it. Lines
 * that are not in this format (a read that was cut) are left out. Source: proc(5), "/proc/pid/maps".
 */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split('\n')) {
    const fields = linePattern.exec(line);
    if (fields === null) continue;
    const [, start = '', end = '', permissions = '', offset = '', device = '', inode = '', rest = ''] =
      fields;
    const deleted = rest.endsWith(deletedMark) && rest.startsWith('/');
    const mapping: Mapping = {
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      readable: permissions[0] === 'r',
      writable: permissions[1] === 'w',
      executable: permissions[2] === 'x',
      shared: permissions[3] === 's',
      offset: BigInt(`0x${offset}`),
      device,
      inode: BigInt(inode),
      path: (deleted ? rest.slice(0, -deletedMark.length) : rest).replaceAll('\\012', '\n'),
    };
    mappings.push(deleted ? { ...mapping, deleted } : mapping);
  }
  return mappings;
}

const deletedMark = ' (deleted)';
const linePattern =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) ([0-9a-f]{1,16}) ([0-9a-f]{2,}:[0-9a-f]{2,}) ([0-9]{1,20})(?: +(.*))?$/s;
