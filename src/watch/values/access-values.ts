import type { MemoryChain } from './memory-chain.ts';
import { flagsFit, isZero, operandHigh, operandLow } from './operand-value.ts';
import { canUpdate, UpdateWords } from './update-value.ts';
import { flagsWord, noOverlap, type OperandRecipe, offsetOf, type ValueRecipe } from './value-recipe.ts';

/** Words of a value; one object is used again and again. */
class Words {
  low: number = 0;
  high: number = 0;
}

/**
 * The values before and after one access, from a recipe, the registers of the row and what was known of the memory.
 * One object is filled for every hit; the fields hold until the next {@link AccessValues.compute}.
 */
export class AccessValues {
  /** The recipe fits the hit: its access overlaps the watched bytes. */
  fits: boolean = false;
  /** Where the access begins, in bytes from the watched address. */
  offset: number = 0;
  /** The contents before are known by the registers, all watched bytes or those that were accessed and the chain's. */
  readonly before: Words = new Words();
  beforeKnown: boolean = false;
  /** The registers show other contents before the access than the chain had. */
  gap: boolean = false;
  readonly after: Words = new Words();
  afterKnown: boolean = false;
  /** `after` is certain. */
  afterExact: boolean = false;
  /** The access stored nothing. */
  isLoad: boolean = false;
  readonly #value: Words = new Words();
  readonly #cover: Words = new Words();
  readonly #old: Words = new Words();
  readonly #result: UpdateWords = new UpdateWords();

  /** `at`: the first word of the row in `registers`. */
  compute(recipe: ValueRecipe, registers: Uint32Array, at: number, chain: MemoryChain): void {
    this.beforeKnown = false;
    this.afterKnown = false;
    this.afterExact = false;
    this.gap = false;
    this.isLoad = recipe.type === 'load';
    let offset = offsetOf(recipe, registers, at);
    this.fits = offset !== noOverlap;
    if (!this.fits) return;
    this.offset = offset;
    let lenBytes = recipe.lenBytes;
    // Of sixteen bytes, aligned as they must be, the watch lies in one half.
    const upper = lenBytes === 16 && offset <= -8;
    if (upper) offset += 8;
    if (lenBytes === 16) lenBytes = 8;
    this.#coverOf(offset, lenBytes, recipe.watchLenBytes);
    switch (recipe.type) {
      case 'store':
        this.#load(recipe.value, recipe, registers, at, upper, offset);
        this.#setAfter(chain, recipe);
        break;
      case 'load':
        this.#load(recipe.value, recipe, registers, at, upper, offset);
        this.#setBefore(chain, recipe);
        this.#setAfter(chain, recipe);
        break;
      case 'exchange':
        this.#load(recipe.value, recipe, registers, at, upper, offset);
        this.#setBefore(chain, recipe);
        break;
      case 'compareExchange': {
        this.#load(recipe.value, recipe, registers, at, upper, offset);
        this.#setBefore(chain, recipe);
        if (isZero(registers[at + flagsWord]!))
          // a word of the row
          this.#load(recipe.replacement, recipe, registers, at, upper, offset);
        this.#setAfter(chain, recipe);
        break;
      }
      case 'update':
        this.#update(recipe, registers, at, chain, offset);
        break;
    }
  }

  /** Puts an operand where it was accessed, in the watched bytes. */
  #load(
    operand: OperandRecipe,
    recipe: ValueRecipe,
    registers: Uint32Array,
    at: number,
    upper: boolean,
    offset: number,
  ): void {
    const value = this.#value;
    value.low = operandLow(operand, registers, at, recipe.lenBytes, upper) >>> 0;
    value.high = operandHigh(operand, registers, at, recipe.lenBytes, upper) >>> 0;
    shift(value, 8 * offset);
    value.low = (value.low & this.#cover.low) >>> 0;
    value.high = (value.high & this.#cover.high) >>> 0;
  }

  /** The watched bytes that are accessed, as a mask. */
  #coverOf(offset: number, lenBytes: number, watchLenBytes: number): void {
    const cover = this.#cover;
    mask(cover, lenBytes);
    if (offset !== 0) shift(cover, 8 * offset);
    if (watchLenBytes === 8) return;
    cover.high = 0;
    if (watchLenBytes < 4) cover.low &= watchLenBytes === 1 ? 0xff : 0xffff;
  }

  #coversAll(watchLenBytes: number): boolean {
    const { low, high } = this.#cover;
    if (watchLenBytes === 8) return low === 0xffff_ffff && high === 0xffff_ffff;
    return low === (watchLenBytes === 4 ? 0xffff_ffff : watchLenBytes === 2 ? 0xffff : 0xff);
  }

  /** The loaded value is what stood there. */
  #setBefore(chain: MemoryChain, recipe: ValueRecipe): void {
    const { low: coverLow, high: coverHigh } = this.#cover;
    const { low, high } = this.#value;
    if (chain.known)
      this.gap = ((chain.low ^ low) & coverLow) !== 0 || ((chain.high ^ high) & coverHigh) !== 0;
    if (!chain.known && !this.#coversAll(recipe.watchLenBytes)) return;
    this.before.low = (low | (chain.low & ~coverLow)) >>> 0;
    this.before.high = (high | (chain.high & ~coverHigh)) >>> 0;
    if (this.#coversAll(recipe.watchLenBytes)) {
      this.before.low = low;
      this.before.high = high;
    }
    this.beforeKnown = true;
  }

  /** The loaded value is what stands there now. */
  #setAfter(chain: MemoryChain, recipe: ValueRecipe): void {
    const { low, high } = this.#value;
    if (this.#coversAll(recipe.watchLenBytes)) {
      this.after.low = low;
      this.after.high = high;
      this.afterExact = true;
    } else {
      if (!chain.known) return;
      this.after.low = (low | (chain.low & ~this.#cover.low)) >>> 0;
      this.after.high = (high | (chain.high & ~this.#cover.high)) >>> 0;
      this.afterExact = chain.exact;
    }
    this.afterKnown = true;
  }

  #update(recipe: ValueRecipe, registers: Uint32Array, at: number, chain: MemoryChain, offset: number): void {
    const { operation, watchLenBytes } = recipe;
    const lenBytes = Math.min(8, recipe.lenBytes);
    if (!chain.known || operation === undefined || recipe.lenBytes > 8) return;
    if (!canUpdate(operation, { offset, lenBytes, watchLenBytes })) return;
    const value = this.#value;
    value.low = operandLow(recipe.value, registers, at, lenBytes, false) >>> 0;
    value.high = operandHigh(recipe.value, registers, at, lenBytes, false) >>> 0;
    const old = this.#old;
    old.low = chain.low;
    old.high = chain.high;
    // Both as seen from where the later of access and watch begins.
    if (offset > 0) shift(old, -8 * offset);
    if (offset < 0) shift(value, 8 * offset);
    this.#result.compute(operation, old, value, 8 * lenBytes);
    value.low = this.#result.low;
    value.high = this.#result.high;
    const isWhole = offset >= 0 && offset + lenBytes <= watchLenBytes;
    if (
      recipe.setsFlags &&
      isWhole &&
      !flagsFit(registers[at + flagsWord]!, value.low, value.high, lenBytes) // a word of the row
    ) {
      this.gap = true; // what the chain had cannot have been there
      return;
    }
    if (offset > 0) shift(value, 8 * offset);
    value.low = (value.low & this.#cover.low) >>> 0;
    value.high = (value.high & this.#cover.high) >>> 0;
    this.#setAfter(chain, recipe);
    this.afterExact = chain.exact;
  }
}

/** All ones in the lowest `lenBytes` bytes. */
function mask(words: Words, lenBytes: number): void {
  words.low = lenBytes >= 4 ? 0xffff_ffff : (1 << (8 * lenBytes)) - 1;
  words.high = lenBytes === 8 ? 0xffff_ffff : 0;
}

/** Shifts by `bits` to higher places, by -`bits` to lower ones, a multiple of 8 below 64. */
function shift(words: Words, bits: number): void {
  if (bits === 0) return;
  const { low, high } = words;
  if (bits > 0) {
    if (bits >= 32) {
      words.high = (low << (bits - 32)) >>> 0;
      words.low = 0;
    } else {
      words.high = ((high << bits) | (low >>> (32 - bits))) >>> 0;
      words.low = (low << bits) >>> 0;
    }
    return;
  }
  const down = -bits;
  if (down >= 32) {
    words.low = high >>> (down - 32);
    words.high = 0;
  } else {
    words.low = ((low >>> down) | (high << (32 - down))) >>> 0;
    words.high = high >>> down;
  }
}
