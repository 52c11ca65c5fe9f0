import { joinPair } from '../../base/pair.ts';
import type { UpdateOperation } from '../instructions/value-effect.ts';

/** Operations whose low result bytes depend on the low bytes of both sides alone. */
const fromBelow: ReadonlySet<UpdateOperation> = new Set<UpdateOperation>([
  ...(['add', 'sub', 'and', 'or', 'xor', 'not', 'neg', 'shl'] as const),
]);
/** Operations in which every byte stands for itself. */
const bytewise: ReadonlySet<UpdateOperation> = new Set<UpdateOperation>(['and', 'or', 'xor', 'not']);

/**
 * Whether the watched bytes of the result can be told from the watched bytes of the old contents, for an access of
 * `lenBytes` that begins `offset` bytes behind the watch's start (negative: before it).
 */
export function canUpdate(
  operation: UpdateOperation,
  access: { readonly offset: number; readonly lenBytes: number; readonly watchLenBytes: number },
): boolean {
  const { offset, lenBytes, watchLenBytes } = access;
  if (offset < 0) return bytewise.has(operation);
  return fromBelow.has(operation) || offset + lenBytes <= watchLenBytes;
}

/** The result of an update of `bits` (8 to 64) bits, as a u64 that is cut to them. Shift counts are the processor's. */
export function update(operation: UpdateOperation, old: bigint, source: bigint, bits: number): bigint {
  const count = source & (bits === 64 ? 63n : 31n);
  const width = BigInt(bits);
  const value = BigInt.asUintN(bits, old);
  return BigInt.asUintN(bits, compute());

  function compute(): bigint {
    switch (operation) {
      case 'add':
        return value + source;
      case 'sub':
        return value - source;
      case 'and':
        return value & source;
      case 'or':
        return value | source;
      case 'xor':
        return value ^ source;
      case 'not':
        return ~value;
      case 'neg':
        return -value;
      case 'shl':
        return value << count;
      case 'shr':
        return value >> count;
      case 'sar':
        return BigInt.asIntN(bits, value) >> count;
      case 'rol':
        return (value << (count % width)) | (value >> (width - (count % width)));
      case 'ror':
        return (value >> (count % width)) | (value << (width - (count % width)));
    }
  }
}

/** Both words of an update, kept so that no number is made for the usual ones. */
export class UpdateWords {
  low: number = 0;
  high: number = 0;

  /** {@link update} in words; what it gives lies in `low` and `high`. */
  compute(
    operation: UpdateOperation,
    old: { readonly low: number; readonly high: number },
    source: { readonly low: number; readonly high: number },
    bits: number,
  ): void {
    switch (operation) {
      case 'add': {
        const low = old.low + source.low;
        this.low = low >>> 0;
        this.high = (old.high + source.high + (low > 0xffff_ffff ? 1 : 0)) >>> 0;
        break;
      }
      case 'sub':
        this.low = (old.low - source.low) >>> 0;
        this.high = (old.high - source.high - (old.low < source.low ? 1 : 0)) >>> 0;
        break;
      case 'and':
        this.low = (old.low & source.low) >>> 0;
        this.high = (old.high & source.high) >>> 0;
        break;
      case 'or':
        this.low = (old.low | source.low) >>> 0;
        this.high = (old.high | source.high) >>> 0;
        break;
      case 'xor':
        this.low = (old.low ^ source.low) >>> 0;
        this.high = (old.high ^ source.high) >>> 0;
        break;
      default: {
        const result = update(
          operation,
          joinPair(old.low, old.high),
          joinPair(source.low, source.high),
          bits,
        );
        this.low = Number(result & 0xffff_ffffn);
        this.high = Number(result >> 32n);
        return;
      }
    }
    if (bits < 64) {
      this.high = 0;
      if (bits < 32) this.low &= (1 << bits) - 1;
    }
  }
}
