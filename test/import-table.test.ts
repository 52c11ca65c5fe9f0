import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

// A test about the code itself: who may import whom. The compiler refuses an import of a project that is not reachable
// through references; this test also refuses what is reachable only through another project, and checks that the
// references are the documented table (docs/decisions/0001-folders.md and ARCHITECTURE.md).

const root = new URL('../src/', import.meta.url).pathname;

/** Folder -> folders it may import. `node`: it may see Node. */
const table: Readonly<
  Record<
    string,
    { readonly may: readonly string[]; readonly node?: true; readonly packages?: readonly string[] }
  >
> = {
  base: { may: [] },
  uapi: { may: ['base'] },
  arch: { may: ['base', 'uapi'] },
  'arch/x86': { may: ['base', 'uapi', 'arch'] },
  'arch/arm64': { may: ['base', 'uapi', 'arch'] },
  ring: { may: ['base', 'uapi'] },
  bpf: { may: ['base', 'uapi'] },
  surface: { may: ['base', 'uapi', 'ring'] },
  gdb: { may: ['base'] },
  machine: { may: ['base', 'uapi', 'arch'] },
  'machines/sim': { may: ['base', 'uapi', 'arch', 'arch/x86', 'arch/arm64', 'machine'] },
  'kernel/pmu': { may: ['base', 'uapi', 'arch', 'machine'] },
  'kernel/perf': { may: ['base', 'uapi', 'ring', 'bpf', 'arch', 'machine', 'surface', 'kernel/pmu'] },
  'kernel/core': { may: ['base', 'uapi', 'arch', 'machine', 'kernel/pmu', 'kernel/perf'] },
  'kernel/ptrace': {
    may: [
      ...['base', 'uapi', 'arch', 'arch/x86', 'arch/arm64', 'machine'],
      ...['kernel/pmu', 'kernel/perf', 'kernel/core'],
    ],
  },
  'kernel/kgdb': {
    may: [
      ...['base', 'uapi', 'arch', 'arch/x86', 'gdb', 'machine'],
      ...['kernel/pmu', 'kernel/perf', 'kernel/core'],
    ],
  },
  'kernel/ksym': { may: ['base', 'uapi', 'arch', 'machine', 'kernel/pmu', 'kernel/perf', 'kernel/core'] },
  scenario: { may: ['base', 'uapi', 'ring', 'surface'] },
  'hosts/model': {
    may: [
      ...['base', 'uapi', 'ring', 'bpf', 'arch', 'arch/x86', 'arch/arm64'],
      ...['machine', 'surface', 'machines/sim'],
      ...[
        'kernel/pmu',
        'kernel/perf',
        'kernel/core',
        'kernel/ptrace',
        'kernel/kgdb',
        'kernel/ksym',
        'gdb',
        'scenario',
      ],
    ],
  },
  linux: { may: ['base', 'uapi', 'ring', 'surface'], node: true, packages: ['koffi'] },
  'hosts/live': { may: ['base', 'uapi', 'ring', 'bpf', 'surface', 'linux', 'scenario'], node: true },
  symbols: { may: ['base'] },
  watch: {
    may: ['base', 'uapi', 'ring', 'arch', 'arch/x86', 'surface', 'symbols', 'bpf', 'gdb'],
    packages: ['iced-x86'],
  },
  formats: {
    may: ['base', 'uapi', 'ring', 'symbols', 'watch'],
    packages: ['apache-arrow', 'apache-arrow/io/stream'],
  },
  api: {
    may: ['base', 'uapi', 'ring', 'bpf', 'arch', 'arch/x86', 'surface', 'linux', 'symbols', 'watch'],
    node: true,
    packages: ['iced-x86', 'fzstd'],
  },
  cli: {
    may: [
      ...[
        'base',
        'uapi',
        'ring',
        'arch',
        'arch/x86',
        'surface',
        'linux',
        'symbols',
        'watch',
        'api',
        'formats',
      ],
      ...['scenario', 'hosts/model', 'hosts/live', 'gdb'],
    ],
    node: true,
    packages: ['commander'],
  },
};

const projects = Object.keys(table);

/** The project that a file below src/ belongs to: the longest one that is a prefix. */
function projectOf(file: string): string | undefined {
  return projects.filter((project) => file.startsWith(`${project}/`)).sort((a, b) => b.length - a.length)[0];
}

const files = fs
  .readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));

/** The specifiers of all static and dynamic imports and re-exports. */
function importsOf(file: string): string[] {
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

describe('the import table', () => {
  it('names every folder that has code', () => {
    expect(files.length).toBeGreaterThan(60);
    expect(files.filter((file) => projectOf(file) === undefined)).toEqual([]);
  });

  it('is what the compiler projects reference', () => {
    for (const project of projects) {
      const config = JSON.parse(fs.readFileSync(path.join(root, project, 'tsconfig.json'), 'utf8')) as {
        references: { path: string }[];
        compilerOptions: { types?: string[] };
      };
      const references = config.references.map((reference) => path.posix.join(project, reference.path));
      expect(references.sort(), project).toEqual([...(table[project]?.may ?? [])].sort());
      expect(config.compilerOptions.types ?? [], project).toEqual(
        table[project]?.node === true ? ['node'] : [],
      );
    }
  });

  it('holds for every import', () => {
    let examined = 0;
    const wrong: string[] = [];
    for (const file of files) {
      const project = projectOf(file) ?? '';
      const rule = table[project];
      for (const specifier of importsOf(file)) {
        examined++;
        if (specifier.startsWith('.')) {
          const target = projectOf(path.posix.join(path.posix.dirname(file), specifier)) ?? specifier;
          if (target !== project && !rule?.may.includes(target)) wrong.push(`${file} imports ${specifier}`);
        } else if (specifier.startsWith('node:')) {
          if (rule?.node !== true) wrong.push(`${file} imports ${specifier}`);
        } else if (!rule?.packages?.includes(specifier)) wrong.push(`${file} imports ${specifier}`);
      }
    }
    expect(examined).toBeGreaterThan(200);
    expect(wrong).toEqual([]);
  });
});
