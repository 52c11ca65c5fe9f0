import { type CodeReader, readWhole } from './code-reader.ts';
import { type InstructionDecoder, maxInstructionBytes } from './instruction-decoder.ts';

/**
 * The start of the instruction that ends at `ip`, found without knowing where the function begins; `undefined` where
 * the bytes do not say clearly.
 *
 * x86 code synchronises itself: decoded from a wrong byte it falls into the right sequence after a few instructions.
 * So every byte of a window before `ip` begins a chain of instructions; those that meet no invalid instruction vote
 * for the last instruction they decode before `ip`, or against all if they run past `ip`. Two thirds must agree.
 *
 * A lone `int3` close before `ip` on the agreed path may stand in the place of another instruction's first byte,
 * whose length is then unknown: no answer.
 */
export function voteOnBoundary(
  ip: bigint,
  reader: CodeReader,
  decoder: InstructionDecoder,
): bigint | undefined {
  const code = codeBefore(ip, reader);
  if (code === undefined) return undefined;
  const lengths = decoder.lengths(code);
  const chains = followChains(lengths);

  // The last bytes before ip have had no room to synchronise.
  const voters = Math.min(code.length - settlingBytes, windowBytes - settlingBytes);
  if (voters < minVoters) return undefined;
  const votes = new Map<number, number>();
  let cast = 0;
  const passes = new Uint16Array(code.length);
  for (let offset = 0; offset < voters; offset++) {
    const vote = chains[offset] ?? invalidChain;
    if (vote === invalidChain) continue;
    cast++;
    if (vote === crossingChain) continue;
    votes.set(vote, (votes.get(vote) ?? 0) + 1);
    for (let at = offset; at < code.length; at += lengths[at] ?? 1) passes[at] = (passes[at] ?? 0) + 1;
  }
  for (const [start, count] of votes) {
    if (count * 3 < cast * 2 || cast < minVoters) continue;
    return hasPatchOnPath(code, lengths, passes, count, decoder)
      ? undefined
      : ip - BigInt(code.length - start);
  }
  return undefined;
}

/** Bytes before `ip` that are readable: a whole window, or back to the start of ip's page. */
function codeBefore(ip: bigint, reader: CodeReader): Uint8Array | undefined {
  const window = BigInt(windowBytes);
  if (ip >= window) {
    const whole = readWhole(reader, ip - window, windowBytes);
    if (whole !== undefined) return whole;
  }
  const inPage = Number(BigInt.asUintN(12, ip));
  return inPage === 0 || inPage > windowBytes ? undefined : readWhole(reader, ip - BigInt(inPage), inPage);
}

/** For every offset the start of the last instruction that a chain from there decodes before the end of the bytes. */
function followChains(lengths: Uint8Array): Int32Array {
  const chains = new Int32Array(lengths.length);
  for (let offset = lengths.length - 1; offset >= 0; offset--) {
    const length = lengths[offset] ?? 0;
    const next = offset + length;
    if (length === 0) {
      // Cut short by the end of the bytes, or invalid: near the end that is not known, and speaks against.
      chains[offset] = lengths.length - offset < maxInstructionBytes ? crossingChain : invalidChain;
    } else if (next === lengths.length) chains[offset] = offset;
    else chains[offset] = chains[next] ?? crossingChain;
  }
  return chains;
}

/** Whether a lone `int3` that is not padding lies on the path of the majority, less than an instruction's length before the end. */
function hasPatchOnPath(
  code: Uint8Array,
  lengths: Uint8Array,
  passes: Uint16Array,
  majority: number,
  decoder: InstructionDecoder,
): boolean {
  let before = -1;
  for (let offset = 0; offset < code.length; offset++) {
    if ((passes[offset] ?? 0) * 2 < majority) continue;
    const lone = code[offset] === int3 && code[offset - 1] !== int3 && code[offset + 1] !== int3;
    if (lone && code.length - offset <= maxInstructionBytes) {
      const follows = before >= 0 && before + (lengths[before] ?? 0) === offset;
      const flow = follows ? decoder.decode(code.subarray(before), 0n)?.flow : undefined;
      if (flow === undefined || flow === 'next' || flow === 'call') return true;
    }
    before = offset;
  }
  return false;
}

const windowBytes = 112;
const settlingBytes = 32;
const minVoters = 8;
const invalidChain = -1;
const crossingChain = -2;
const int3 = 0xcc;
