/** Linux errno values that this code gives or meets, by name. Source: errno(3), asm-generic/errno.h. */
export const errnoValues = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  ENOSPC: 28,
  EPIPE: 32,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
} as const;

/** The name of an errno that {@link errnoValues} lists. */
export type ErrnoName = keyof typeof errnoValues;

const namesByValue: ReadonlyMap<number, string> = new Map(
  Object.entries(errnoValues).map(([name, value]) => [value, name]),
);

/** The name of `errno` ("ENOSPC"), or "errno N" for one that is not listed. */
export function errnoName(errno: number): string {
  return namesByValue.get(errno) ?? `errno ${errno}`;
}
