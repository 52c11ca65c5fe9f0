import { Assembler } from '../../bpf/assembler.ts';
import {
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_probe_read_user,
  BPF_MAP_TYPE_ARRAY,
  x86PerfEventContext,
} from '../../uapi/bpf.ts';
import { type CheckContext, type Finding, judgeCount } from './finding.ts';
import { readProbeSamples, samplingAttr } from './probe-samples.ts';
import { ringPages } from './user-checks.ts';
import { atStage, probeAttr, storeWord, withEvents } from './workplace.ts';

/** Accesses of the check. */
const accesses = 64;
const word = 0;

/** Counts hits in the first 8 bytes of the map's value, keeps the word that it reads in the trap behind, drops the sample. */
function countingProgram(address: bigint): Assembler {
  const asm = new Assembler();
  const none = asm.label('none');
  asm.load(8, 6, 1, x86PerfEventContext.samplePeriod);
  asm.store(4, 10, -4, 0).loadMap(1, 'counts').mov(2, { reg: 10 }).alu('add', 2, -4);
  asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, none).mov(7, { reg: 0 });
  asm.atomic('add', 8, 7, 0, 6); // the period is 1
  asm.mov(1, { reg: 7 }).alu('add', 1, 8).mov(2, 4).load64(3, address).call(BPF_FUNC_probe_read_user);
  return asm.at(none).mov(0, 0).exit();
}

/** A bpf program sees every hit in the trap, reads the watched word there, and drops the sample. */
export function checkBpf({ events, memory, surface }: CheckContext): Finding {
  const { bpf } = surface;
  if (bpf === undefined) return { outcome: 'skipped', detail: 'this surface has no bpf' };
  if (surface.kernel.machine !== 'x86_64')
    return { outcome: 'skipped', detail: 'programs are for the registers of x86-64' };
  const address = memory.addressOf(word);
  const attr = samplingAttr(probeAttr({ access: 'w', address, lenBytes: 4, mode: 'user' }), { si: false });
  return withEvents(events, (open) => {
    const event = open({ ...attr, disabled: true });
    const ring = atStage('ring', () => event.mapRing(ringPages));
    const counts = atStage('bpf', () =>
      bpf.createMap({ type: BPF_MAP_TYPE_ARRAY, keyBytes: 4, valueBytes: 16, maxEntries: 1 }),
    );
    try {
      const { bytes, mapUses } = countingProgram(address).assemble();
      const program = atStage('bpf', () => bpf.load({ bytes, maps: mapUses, mapOf: { counts } }));
      try {
        atStage('bpf', () => program.attach(event));
      } finally {
        program.close(); // the event keeps it
      }
      event.enable();
      storeWord(memory.words, word, accesses);
      event.disable();
      const value = counts.lookup(new Uint8Array(4));
      const view = new DataView(value.buffer, value.byteOffset);
      const finding = judgeCount(Number(view.getBigUint64(0, true)), accesses, `${accesses} stores`);
      if (finding.outcome !== 'works') return finding;
      const samples = readProbeSamples(ring).length;
      const read = view.getInt32(8, true);
      const stored = memory.words[word];
      const problem =
        samples > 0
          ? `${samples} samples of hits that the program dropped`
          : read !== stored
            ? `the program read ${read} in the trap, and ${stored} was stored`
            : undefined;
      const detail = `${finding.detail} seen by a program, values read in the trap, samples dropped`;
      if (problem === undefined) return { outcome: 'works', detail };
      return { outcome: 'fails', detail: finding.detail, failure: { type: 'bad samples', problem } };
    } finally {
      counts.close();
    }
  });
}
