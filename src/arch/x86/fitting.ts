import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { hex } from '../../base/hex.ts';

/** A watch as a user asks for it, before anything is known to fit. */
export interface FittingRequest {
  /** A u64. */
  readonly address: bigint;
  /** Bytes from there on; 0 and more. */
  readonly lenBytes: bigint | number;
  /** `x` stands alone: a register cannot watch both execution and data. */
  readonly access: 'r' | 'w' | 'rw' | 'x';
}

/** What the machine can do beyond the architecture's minimum. */
export interface FittingMachine {
  /** AMD's address masks (CPUID 8000_0001h ECX bit 26): larger powers of two, aligned to their length. Default: absent. */
  readonly hasBpext?: boolean;
}

/** A part of a request that one register can hold. */
export interface Piece {
  /** A multiple of `lenBytes`; for execute any address. */
  readonly address: bigint;
  readonly lenBytes: 1 | 2 | 4 | 8;
}

/** What would fit. */
export interface FittingPieces {
  /** The first pieces in the order of addresses, at most {@link maxPiecesListed}. */
  readonly pieces: readonly Piece[];
  /** How many there are in all; over four need more registers than x86 has. */
  readonly pieceCount: bigint;
}

/** Whether one register can hold a request, and what would fit. */
export type Fitting =
  | ({ readonly fits: true } & FittingPieces)
  | ({
      readonly fits: false;
      /** The errno that perf_event_open(2) gives. */
      readonly errno: number;
      readonly code: ErrnoName;
      /** Why, in words for a user: what was asked, what is allowed. */
      readonly reason: string;
    } & FittingPieces);

/**
 * Whether one x86 debug register can hold `request`, in the order of Linux's checks, without asking a kernel.
 * `pieces` cover exactly what was asked, the largest aligned piece first at each address; for execute they are the
 * one request that works. There are none where nothing can be watched (length 0, past the end of the address space).
 *
 * What only a running kernel knows is not checked: execute in text that must not be probed, most areas closed to
 * watches, free registers, permissions. Throws RangeError where `address` is no u64 or `lenBytes` no whole number >= 0.
 *
 * Source: Intel SDM vol. 3, "Breakpoint Field Recognition"; perf_event_open(2), `bp_addr`, `bp_len`; docs/spec/04-x86.md section 6.
 */
export function fitRequest(request: FittingRequest, machine: FittingMachine = {}): Fitting {
  const { address, access } = request;
  if (address < 0n || address > maxU64) throw new RangeError(`not a 64-bit address: ${address}`);
  const lenBytes = BigInt(request.lenBytes);
  if (lenBytes < 0n) throw new RangeError(`a length below 0: ${lenBytes}`);
  const at = `${byteCount(lenBytes)} at ${hex(address)}`;

  if (lenBytes === 0n) return refuse('EINVAL', `length 0 at ${hex(address)}: ${allowedLengths}`, noPieces);
  const last = address + lenBytes - 1n;
  if (last > maxU64) return refuse('EINVAL', `${at} reach past the end of the address space`, noPieces);
  if (last >= cpuEntryAreaStart && address < cpuEntryAreaEnd) {
    return refuse('EINVAL', `${at} lie in the CPU entry area, where Linux allows no breakpoint`, noPieces);
  }
  if (access === 'x') {
    const pieces: FittingPieces = { pieces: [{ address, lenBytes: 8 }], pieceCount: 1n };
    if (lenBytes === executeLenBytes) return { fits: true, ...pieces };
    const reason = `length ${lenBytes} for an execute watch at ${hex(address)}: it is always 8 (sizeof(long)), whatever the instruction's length`;
    return refuse('EINVAL', reason, pieces);
  }
  const pieces: FittingPieces = {
    pieces: firstOf(alignedPieces(address, lenBytes), maxPiecesListed),
    pieceCount: countAlignedPieces(address, lenBytes),
  };
  if (access === 'r') {
    return refuse(
      'EINVAL',
      `x86 has no read-only watch: ${hex(address)} can be watched for reads and writes (rw)`,
      pieces,
    );
  }
  const isPowerOfTwo = (lenBytes & (lenBytes - 1n)) === 0n;
  const isAligned = isPowerOfTwo && (address & (lenBytes - 1n)) === 0n;
  if (!isPowerOfTwo) return refuse('EINVAL', `${at}: ${allowedLengths}`, pieces);
  if (lenBytes > 8n) {
    if (!isAligned) return refuse('EINVAL', `${at}: ${allowedLengths}`, pieces);
    if (machine.hasBpext !== true) {
      return refuse(
        'EOPNOTSUPP',
        `${at}: ${allowedLengths}, and this CPU has no address masks (AMD's BPEXT) for more`,
        pieces,
      );
    }
    return { fits: true, ...pieces };
  }
  if (!isAligned) {
    return refuse('EINVAL', `${at} are not aligned: ${hex(address)} is no multiple of ${lenBytes}`, pieces);
  }
  return { fits: true, ...pieces };
}

/**
 * The pieces of 1, 2, 4 or 8 bytes, each aligned to its length, that cover [address, address + lenBytes) and nothing
 * else, in the order of addresses; at each address the largest that is aligned and does not reach past the end.
 */
export function* alignedPieces(address: bigint, lenBytes: bigint): Generator<Piece, void, undefined> {
  const end = address + lenBytes;
  for (let at = address; at < end; ) {
    const length = pieceLengths.find((size) => at % BigInt(size) === 0n && at + BigInt(size) <= end) ?? 1;
    yield { address: at, lenBytes: length };
    at += BigInt(length);
  }
}

/** How many pieces {@link alignedPieces} gives, without making them. */
export function countAlignedPieces(address: bigint, lenBytes: bigint): bigint {
  const end = address + lenBytes;
  const firstWhole = (address + 7n) & ~7n;
  const lastWhole = end & ~7n;
  if (firstWhole >= lastWhole) return BigInt([...alignedPieces(address, lenBytes)].length);
  const head = [...alignedPieces(address, firstWhole - address)].length;
  const tail = [...alignedPieces(lastWhole, end - lastWhole)].length;
  return BigInt(head + tail) + (lastWhole - firstWhole) / 8n;
}

/**
 * The pieces as `trapline watch` takes them: "cfg/8 cfg+8/8 cfg+16/8", ending in "… (131072 in all)" where not all
 * are listed. `name` stands for `address`.
 */
export function spellPieces(name: string, address: bigint, fitting: FittingPieces): string {
  const words = fitting.pieces.map((piece) => {
    const offset = piece.address - address;
    return `${name}${offset === 0n ? '' : `+${offset}`}/${piece.lenBytes}`;
  });
  if (fitting.pieceCount > BigInt(fitting.pieces.length)) words.push(`… (${fitting.pieceCount} in all)`);
  return words.join(' ');
}

/**
 * Whether Linux counts [address, address + lenBytes) as kernel space: the first or the last byte at or above
 * TASK_SIZE_MAX. Non-canonical addresses count too. For execute watches the length to give is 1 (the default),
 * whatever `bp_len` says.
 */
export function isKernelAddress(address: bigint, options: KernelAddressOptions = {}): boolean {
  const limit = options.pageTableLevels === 5 ? taskSizeMax5Level : taskSizeMax4Level;
  return address >= limit || address + BigInt(options.lenBytes ?? 1) - 1n >= limit;
}

/** What {@link isKernelAddress} goes by. */
export interface KernelAddressOptions {
  /** 1 and more; default 1. */
  readonly lenBytes?: number;
  /** Levels of page tables, default 4. With 5 user space is 512 times as large. */
  readonly pageTableLevels?: 4 | 5;
}

/** The first address above user space with 4 levels of page tables. */
export const taskSizeMax4Level = 0x7fff_ffff_f000n;
/** The first address above user space with 5 levels of page tables. */
export const taskSizeMax5Level = 0xff_ffff_ffff_f000n;

/** How many pieces a {@link Fitting} lists: as many as x86 has registers. */
export const maxPiecesListed = 4;

function refuse(code: ErrnoName, reason: string, pieces: FittingPieces): Fitting {
  return { fits: false, errno: errnoValues[code], code, reason, ...pieces };
}

function firstOf(pieces: Iterable<Piece>, count: number): Piece[] {
  const first: Piece[] = [];
  for (const piece of pieces) {
    first.push(piece);
    if (first.length === count) break;
  }
  return first;
}

function byteCount(lenBytes: bigint): string {
  return lenBytes === 1n ? '1 byte' : `${lenBytes} bytes`;
}

const allowedLengths = 'a register holds 1, 2, 4 or 8 aligned bytes';
const pieceLengths = [8, 4, 2, 1] as const;
const noPieces: FittingPieces = { pieces: [], pieceCount: 0n };
const executeLenBytes = 8n;
const maxU64 = 0xffff_ffff_ffff_ffffn;
const cpuEntryAreaStart = 0xffff_fe00_0000_0000n;
/** 512 GiB further. */
const cpuEntryAreaEnd = 0xffff_fe80_0000_0000n;
