import { PeerError } from './errors.ts';

/** Two ASCII digits of each byte value, in the order of the line. */
const digitPairs: Uint16Array = new Uint16Array(
  Uint8Array.from({ length: 512 }, (_, i) =>
    ((i & 1) === 0 ? i >> 5 : (i >> 1) & 15).toString(16).charCodeAt(0),
  ).buffer,
);

/** Value of each ASCII hex digit; 0xff for what is none. */
const digitValues: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase());
  return value < 0 ? 0xff : value;
});

/** `bytes` as ASCII hex, two digits a byte. */
export function bytesToHex(bytes: Uint8Array): Uint8Array {
  const pairs = new Uint16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) pairs[i] = digitPairs[bytes[i] as number] as number; // in range both
  return new Uint8Array(pairs.buffer);
}

/** The bytes that ASCII hex spells. Throws {@link PeerError} EINVAL if it is not pairs of hex digits. */
export function hexToBytes(digits: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(digits.length >> 1);
  let bad = digits.length & 1;
  for (let i = 0; i < bytes.length; i++) {
    const high = digitValues[digits[2 * i] as number] as number; // in range both
    const low = digitValues[digits[2 * i + 1] as number] as number;
    bad |= (high | low) & 0xf0;
    bytes[i] = (high << 4) | low;
  }
  if (bad !== 0) throw new PeerError('EINVAL', 'bytes are pairs of hex digits');
  return bytes;
}
