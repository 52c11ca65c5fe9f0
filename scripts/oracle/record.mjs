// Runs arm64 scenarios on a stock Debian kernel under QEMU and writes what it answered as a recording.
//
//   node scripts/oracle/record.mjs WORKDIR FILE... > RECORDING         scenarios of files
//   node scripts/oracle/record.mjs WORKDIR --seed S --steps N > RECORDING   random ones; agreeing results as a hash only
//
// WORKDIR keeps the kernel (fetched there if it is not) and the guest program. README.md says what has to be installed.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomArm64Scenarios } from '../../dist/scenario/fuzz/arm64-scenarios.js';
import { parseScenarios } from '../../dist/scenario/parser.js';
import { decodeHwdebugState } from '../../dist/uapi/user-hwdebug-state.js';

const here = dirname(fileURLToPath(import.meta.url));
const dataStart = 0x10000000n;
const codeStart = 0x20000000n;
const stride = 0x100000n;
const kernelStart = { kernel_text: 0xffff800008000000n, kernel_data: 0xffff80000a000000n };
const qemuArguments = [
  ...['-M', 'virt', '-cpu', 'max', '-smp', '2', '-m', '512', '-nographic', '-no-reboot'],
  ...['-append', 'console=ttyAMA0 loglevel=0 panic=-1'],
];

/** Fetches Debian's kernel through an apt state of its own: nothing is installed. Gives the path of the image. */
function kernelImage(work) {
  const boot = join(work, 'img/boot');
  if (!existsSync(boot)) {
    for (const folder of ['apt/lists/partial', 'apt/cache/archives/partial'])
      mkdirSync(join(work, folder), { recursive: true });
    writeFileSync(join(work, 'apt/status'), '');
    writeFileSync(
      join(work, 'apt/apt.conf'),
      `APT::Architecture "arm64"; APT::Architectures {"arm64";};\nDir::State "${work}/apt"; Dir::State::lists "${work}/apt/lists"; Dir::State::status "${work}/apt/status"; Dir::Cache "${work}/apt/cache";\n`,
    );
    const env = { ...process.env, APT_CONFIG: join(work, 'apt/apt.conf') };
    execFileSync('apt-get', ['update'], { env, cwd: work, stdio: 'ignore' });
    const depends = execFileSync('apt-cache', ['depends', 'linux-image-arm64'], { env, encoding: 'utf8' });
    const name = /linux-image-[0-9]\S*/.exec(depends)?.[0];
    execFileSync('apt-get', ['download', name], { env, cwd: work, stdio: 'ignore' });
    const archive = readdirSync(work).find((file) => file.startsWith(name) && file.endsWith('.deb'));
    execFileSync('dpkg-deb', ['-x', archive, 'img'], { cwd: work });
  }
  return join(
    boot,
    readdirSync(boot).find((file) => file.startsWith('vmlinuz')),
  );
}

/** A "newc" archive, as the kernel unpacks it. */
function cpio(files) {
  const parts = [];
  const pad = () => {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    parts.push(Buffer.alloc((4 - (bytes % 4)) % 4));
  };
  const entry = (name, data, mode, number) => {
    const fields = [number, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    parts.push(
      Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`),
    );
    pad();
    parts.push(data);
    pad();
  };
  for (const [n, [name, data]] of Object.entries(files).entries()) entry(name, data, 0o100755, n + 1);
  entry('TRAILER!!!', Buffer.alloc(0), 0, 0);
  return Buffer.concat(parts);
}

class Unable extends Error {}

const hex = (value) => BigInt.asUintN(64, BigInt(value)).toString(16);
const bpTypes = { r: 1, w: 2, rw: 3, x: 4 };

/** Orders for the guest, one for each step. Throws `Unable` for what it does not do. */
function ordersOf(scenario) {
  const taskNames = [];
  const eventNames = [];
  const number = (list, name) => {
    const at = list.indexOf(name);
    if (at < 0) throw new Unable(`no "${name}"`);
    return at;
  };
  const address = (text) => {
    const symbolic = /^(\w+)\.(data|code)(\d*)(?:\+(\d+|0x[0-9a-f]+))?$/.exec(text);
    if (symbolic !== null) {
      const [, task, place, label, offset = '0'] = symbolic;
      const start = (place === 'data' ? dataStart : codeStart) + stride * BigInt(number(taskNames, task));
      return start + 16n * BigInt(label || '0') + BigInt(offset);
    }
    const kernel = /^sym:(\w+)(?:\+(\d+))?$/.exec(text);
    if (kernel !== null && kernel[1] in kernelStart) return kernelStart[kernel[1]] + BigInt(kernel[2] ?? 0);
    if (/^0x/.test(text)) return BigInt(text);
    throw new Unable(`the address ${text}`);
  };
  const attr = (fields) => {
    const {
      bpType = 0,
      bpAddr = '0x0',
      bpLen = 0,
      disabled,
      pinned,
      excludeUser,
      excludeKernel,
      ...rest
    } = fields;
    if (Object.keys(rest).length > 0) throw new Unable(`attr ${Object.keys(rest)}`);
    const flags = (disabled ? 1 : 0) | (pinned ? 2 : 0) | (excludeUser ? 4 : 0) | (excludeKernel ? 8 : 0);
    return `${hex(bpTypes[bpType] ?? bpType)} ${hex(address(String(bpAddr)))} ${hex(bpLen)} ${flags.toString(16)}`;
  };
  const sets = { break: 0x402, watch: 0x403 };
  const requests = { ENABLE: 0x2400, DISABLE: 0x2401, RESET: 0x2403 };
  return scenario.steps.map(({ step, keys }) => {
    const task = () => hex(number(taskNames, keys.task));
    const event = () => hex(number(eventNames, keys.event));
    const access = (kind) =>
      `P ${task()} ${kind} ${hex(address(keys.at))} ${hex(keys.len ?? 8)} ${hex(keys.times ?? 1)}`;
    switch (step) {
      case 'spawn':
        taskNames.push(keys.task);
        return `S ${task()} ${hex(keys.cpu ?? 0)}`;
      case 'open': {
        if (keys.group !== undefined || keys.flags !== undefined) throw new Unable('groups');
        eventNames.push(keys.as);
        const target =
          keys.task === null
            ? -1
            : keys.task === undefined || keys.task === 'self'
              ? -2
              : number(taskNames, keys.task);
        return `O ${hex(number(eventNames, keys.as))} ${attr(keys.attr)} ${target} ${keys.cpu ?? -1}`;
      }
      case 'store':
        return access(0);
      case 'load':
        return access(1);
      case 'call':
        return access(2);
      case 'syscallWrite':
        return access(3);
      case 'registers':
        return 'K';
      case 'read':
        if (keys.bytes !== undefined) throw new Unable('short reads');
        return `R ${event()}`;
      case 'modify':
        return `M ${event()} ${attr(keys.attr)}`;
      case 'ioctl':
        if (!(keys.request in requests)) throw new Unable(`ioctl ${keys.request}`);
        return `I ${event()} ${hex(requests[keys.request])}`;
      case 'close':
        return `X ${event()}`;
      case 'attach':
        return `A ${task()}`;
      case 'cont':
        return `C ${task()}`;
      case 'getregset':
        return `G ${task()} ${hex(sets[keys.set] ?? keys.set)} ${hex(keys.len ?? 264)}`;
      case 'setregset': {
        const entries = keys.entries ?? [];
        const each = entries
          .slice(0, 16)
          .map(({ addr = '0x0', ctrl = 0 }) => ` ${hex(address(String(addr)))} ${hex(ctrl)}`);
        return `W ${task()} ${hex(sets[keys.set] ?? keys.set)} ${hex(keys.len ?? 8 + 16 * entries.length)} ${hex(each.length)}${each.join('')}`;
      }
      default:
        throw new Unable(`the step ${step}`);
    }
  });
}

/** What the guest printed, with addresses by their names. */
function resultOf(scenario, object) {
  const taskNames = scenario.steps.filter(({ step }) => step === 'spawn').map(({ keys }) => keys.task);
  const named = (address) => {
    for (const [n, task] of taskNames.entries()) {
      const data = address - dataStart - stride * BigInt(n);
      const code = address - codeStart - stride * BigInt(n);
      if (data >= 0n && data < 4096n) return data === 0n ? `${task}.data` : `${task}.data+${data}`;
      if (code >= 0n && code < 256n && code % 16n === 0n) return `${task}.code${code / 16n}`;
      // Where that is differs from kernel to kernel.
      if (code >= 0n && code < 4096n) return 'code';
    }
    return `0x${address.toString(16)}`;
  };
  const { raw, ...result } = object;
  if (result.stop) result.stop = { ...result.stop, at: named(BigInt(result.stop.at)) };
  if (raw === undefined) return result;
  const { info, entries } = decodeHwdebugState(Uint8Array.from(Buffer.from(raw, 'hex')));
  const used = entries.findLastIndex(({ addr, ctrl }) => addr !== 0n || ctrl !== 0) + 1;
  return {
    ...result,
    info,
    entries: entries
      .slice(0, used)
      .map(({ addr, ctrl }) => ({ addr: named(addr), ctrl: `0x${ctrl.toString(16)}` })),
  };
}

/** Boots the machine once and gives the kernel's name and a list of answers. */
function runGuest(work, lines) {
  const kernel = kernelImage(work);
  const init = join(work, 'guest');
  execFileSync('aarch64-linux-gnu-gcc', ['-static', '-O1', '-Wall', '-o', init, join(here, 'guest.c')]);
  const archive = join(work, 'initrd.cpio');
  writeFileSync(archive, cpio({ init: readFileSync(init), steps: Buffer.from(`${lines.join('\n')}\n`) }));
  const { stdout } = spawnSync(
    'qemu-system-aarch64',
    [...qemuArguments, '-kernel', kernel, '-initrd', archive],
    {
      encoding: 'utf8',
      timeout: 540_000,
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const told = stdout.split(/\r?\n/);
  const begin = told.find((line) => line.startsWith('BEGIN '));
  if (begin === undefined || !told.includes('END')) {
    writeFileSync(join(work, 'failed.txt'), stdout);
    throw new Error(`the machine did not come to its end; what it said is in ${work}/failed.txt`);
  }
  return {
    kernel: JSON.parse(begin.slice(6)),
    answers: told.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)),
  };
}

const [work, ...rest] = process.argv.slice(2);
if (work === undefined || rest.length === 0) {
  console.error('usage: record.mjs WORKDIR FILE... | record.mjs WORKDIR --seed S --steps N');
  process.exit(2);
}
mkdirSync(work, { recursive: true });
const random = rest[0] === '--seed';
const texts = random
  ? [{ name: 'random', text: randomArm64Scenarios({ seed: Number(rest[1]), steps: Number(rest[3]) }) }]
  : rest.map((name) => ({ name, text: readFileSync(name, 'utf8') }));
const able = [];
for (const scenario of texts.flatMap(({ name, text }) => parseScenarios(name, text))) {
  try {
    const unequal = scenario.machine.brps.length > 1 || scenario.machine.wrps.length > 1;
    if (unequal) throw new Unable('unequal processors');
    if (scenario.machine.arch === 'arm64') able.push({ scenario, orders: ordersOf(scenario) });
  } catch (error) {
    if (!(error instanceof Unable)) throw error;
    console.error(`passed over: ${scenario.name}: the guest program has not ${error.message}`);
  }
}
const { kernel, answers } = runGuest(
  work,
  able.flatMap(({ orders }) => ['N', ...orders]),
);
const qemu = execFileSync('qemu-system-aarch64', ['--version'], { encoding: 'utf8' }).split('\n')[0];
const command = ['qemu-system-aarch64', ...qemuArguments].join(' ');
const results = [];
let at = 0;
for (const { scenario } of able) {
  at++;
  results.push({
    scenario: scenario.name,
    results: scenario.steps.map(() => resultOf(scenario, answers[at++])),
  });
}
if (at !== answers.length) throw new Error(`${answers.length} answers to ${at} orders`);
const machine = { cpus: 2, brps: [6], wrps: [4], features: ['watched-far', 'debug-v8.4', 'tasks-sleep'] };
const header = { recording: 1, kernel, qemu, command, machine };
if (random) {
  const steps = results.reduce((sum, { results: own }) => sum + own.length, 0);
  const hash = createHash('sha256')
    .update(results.map((result) => `${JSON.stringify(result)}\n`).join(''))
    .digest('hex');
  console.log(
    JSON.stringify({ ...header, seed: Number(rest[1]), askedSteps: Number(rest[3]), steps, sha256: hash }),
  );
  writeFileSync(
    join(work, 'random.jsonl'),
    [header, ...results].map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
} else for (const line of [header, ...results]) console.log(JSON.stringify(line));
