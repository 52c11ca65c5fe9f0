/** Commands of fcntl(2) that are about signals of a file, and what they take. Source: asm-generic/fcntl.h. */
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETOWN = 8;
export const F_GETOWN = 9;
export const F_SETSIG = 10;
export const F_GETSIG = 11;
/** The argument points to a `struct f_owner_ex`: int type, pid_t pid. */
export const F_SETOWN_EX = 15;

export const O_ASYNC = 0x2000;

/** Types of an owner. */
export const F_OWNER_TID = 0;
export const F_OWNER_PID = 1;
