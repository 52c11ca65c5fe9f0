/** A register as a stub describes it. */
export interface RemoteRegister {
  readonly name: string;
  readonly number: number;
  readonly bits: number;
}

/** What a client needs of a stub's description. */
export interface RemoteDescription {
  /** "i386:x86-64", "aarch64"; `undefined`: it says none. */
  readonly architecture: string | undefined;
  readonly registers: readonly RemoteRegister[];
}

/** A hostile stub could include files without end. */
const filesMost = 64;
const registersMost = 10_000;

function attributes(tag: string): ReadonlyMap<string, string> {
  const found: Map<string, string> = new Map();
  for (const [, name = '', double, single] of tag.matchAll(/([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g))
    found.set(name, double ?? single ?? '');
  return found;
}

/**
 * Reads "target.xml" with the files that it includes, in their order: GDB manual, "Target Description Format". Registers
 * without a number have the one after the register before. `read` gives a file; `undefined`: there is none.
 */
export async function parseTargetXml(
  read: (annex: string) => Promise<string | undefined>,
): Promise<RemoteDescription | undefined> {
  let architecture: string | undefined;
  let nextNumber = 0;
  let files = 0;
  const registers: RemoteRegister[] = [];
  const seen: Set<string> = new Set();
  const take = async (annex: string): Promise<boolean> => {
    if (seen.has(annex) || ++files > filesMost) return false;
    seen.add(annex);
    const text = await read(annex);
    if (text === undefined) return false;
    const plain = text.replace(/<!--[\s\S]*?-->/g, '');
    for (const [tag, element] of plain.matchAll(/<(architecture|reg|xi:include)\b[^>]*>/g)) {
      const fields = attributes(tag);
      if (element === 'architecture') {
        const content = plain.slice(plain.indexOf(tag) + tag.length);
        architecture ??= content.slice(0, content.indexOf('<')).trim();
      } else if (element === 'xi:include') await take(fields.get('href') ?? '');
      else if (registers.length < registersMost) {
        const given = Number(fields.get('regnum') ?? Number.NaN);
        const number = Number.isSafeInteger(given) && given >= 0 ? given : nextNumber;
        nextNumber = number + 1;
        const bits = Number(fields.get('bitsize') ?? Number.NaN);
        if (Number.isSafeInteger(bits) && bits > 0)
          registers.push({ name: fields.get('name') ?? '', number, bits });
      }
    }
    return true;
  };
  return (await take('target.xml')) ? { architecture, registers } : undefined;
}

/** The name of the program counter by architecture; `undefined`: not known here. */
export function programCounterName(architecture: string | undefined): string | undefined {
  if (architecture === undefined) return undefined;
  if (architecture === 'i386:x86-64' || architecture === 'i386:x64-32') return 'rip';
  if (architecture.startsWith('i386')) return 'eip';
  return /^(?:aarch64|arm|riscv|mips|powerpc|s390|avr)/.test(architecture) ? 'pc' : undefined;
}
