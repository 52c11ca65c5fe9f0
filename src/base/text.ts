// Present in every JavaScript host; declared here because this folder sees neither the DOM's nor Node's types.
declare class TextDecoder {
  constructor(label: string);
  decode(bytes: Uint8Array): string;
}
declare class TextEncoder {
  encode(text: string): Uint8Array;
}

const utf8 = new TextDecoder('utf-8');
const utf8Encoder = new TextEncoder();

/** `bytes` as UTF-8; what is not UTF-8 becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/** `text` as UTF-8. */
export function encodeUtf8(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** The NUL-terminated string at `offset` of `bytes`, as UTF-8; it ends at the end of `bytes` if no NUL comes before. */
export function decodeCString(bytes: Uint8Array, offset: number = 0): string {
  let end = offset;
  while (end < bytes.length && bytes[end] !== 0) end++;
  return decodeUtf8(bytes.subarray(offset, end));
}
