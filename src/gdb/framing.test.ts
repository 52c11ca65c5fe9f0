import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, type Frame, FrameDecoder } from './framing.ts';
import { packetBytes, packetText } from './packet-reader.ts';

/** The frames of some bytes that arrive in pieces of the given lengths. */
function framesOf(bytes: Uint8Array, pieces: readonly number[] = [], options = {}): Frame[] {
  const decoder = new FrameDecoder({ dataBytesMax: 1 << 16, runs: false, ...options });
  const frames: Frame[] = [];
  let at = 0;
  for (const length of [...pieces, bytes.length]) {
    decoder.push(bytes.slice(at, at + length), (frame) =>
      frames.push('data' in frame ? { ...frame, data: frame.data.slice() } : frame),
    );
    at += length;
  }
  return frames;
}

const textOf = (frame: Frame | undefined): string | undefined =>
  frame !== undefined && 'data' in frame ? packetText(frame.data) : undefined;

describe('framing', () => {
  it('writes the sum and escapes marks', () => {
    expect(packetText(encodeFrame(packetBytes('OK')))).toBe('$OK#9a');
    expect(packetText(encodeFrame(packetBytes('a#$}*')))).toBe('$a}\x03}\x04}]}\n#c3');
  });

  it('gives back any bytes, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 20 }),
        (packets, pieces) => {
          const line = packets.flatMap((data) => [...encodeFrame(data)]);
          const frames = framesOf(Uint8Array.from(line), pieces);
          expect(frames.map((frame) => ('data' in frame ? [...frame.data] : frame.type))).toEqual(
            packets.map((data) => [...data]),
          );
        },
      ),
    );
  });

  it('tells acknowledgments, interrupts and notifications apart, and passes over noise', () => {
    const frames = framesOf(packetBytes('xx+-\x03%Stop#b5zz$?#3f'));
    expect(frames.map((frame) => frame.type)).toEqual(['ack', 'nak', 'interrupt', ...['corrupt', 'packet']]);
    const right = framesOf(encodeFrame(packetBytes('Stop'), { notification: true }));
    expect(right.map((frame) => [frame.type, textOf(frame)])).toEqual([['notification', 'Stop']]);
  });

  it('says what is wrong with a packet, and reads the next', () => {
    for (const line of ['$OK#00', '$OK#zz', '$OK', '$a}#da', '$OK#9'])
      expect(framesOf(packetBytes(`${line}$OK#9a`)).map((frame) => frame.type)).toEqual([
        'corrupt',
        'packet',
      ]);
  });

  it('expands runs where a stub may send them', () => {
    const frames = framesOf(packetBytes('$0* #7a$xx*!#3b'), [], { runs: true });
    expect(frames.map(textOf)).toEqual(['0000', 'xxxxxx']);
    expect(framesOf(packetBytes('$0* #7a')).map(textOf)).toEqual(['0* ']);
    expect(framesOf(packetBytes('$* #4a'), [], { runs: true })[0]?.type).toBe('corrupt');
  });

  it('keeps no more of a packet than was agreed', () => {
    const long = encodeFrame(new Uint8Array(1000).fill(0x61));
    const frames = framesOf(Uint8Array.from([...long, ...packetBytes('$OK#9a')]), [3, 50, 700], {
      dataBytesMax: 64,
    });
    expect(frames).toEqual([
      { type: 'oversize', lenBytes: 1000 },
      { type: 'packet', data: packetBytes('OK') },
    ]);
  });

  it('never throws, whatever arrives', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...'$#%}*+-\x03aZ09\x7f'), { maxLength: 80 }), (marks) => {
        const bytes = packetBytes(marks.join(''));
        expect(framesOf(bytes, [1, 2, 3], { runs: true }).length).toBeLessThanOrEqual(bytes.length + 1);
      }),
      { numRuns: 2000 },
    );
  });
});
