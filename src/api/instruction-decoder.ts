import { createRequire } from 'node:module';
import { createIcedDecoder, type IcedModule } from '../watch/instructions/iced-decoder.ts';
import type { InstructionDecoder } from '../watch/instructions/instruction-decoder.ts';

const require = createRequire(import.meta.url);

/** The x86 decoder over iced-x86, which is loaded when the first instruction is decoded. */
export function x86Decoder(): InstructionDecoder {
  return createIcedDecoder(() => require('iced-x86') as IcedModule); // the package's own types
}
