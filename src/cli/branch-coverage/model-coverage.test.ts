import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { notTheModel } from './model-coverage.ts';

const src = fileURLToPath(new URL('../../', import.meta.url));

describe('what is not counted as the model', () => {
  it.each([...notTheModel])('%s is imported by nothing that a kernel is made of', (name) => {
    const module = path.basename(name, '.js');
    const importing = ['kernel', 'arch', 'machines', 'hosts/model', 'scenario']
      .flatMap((folder) =>
        fs
          .readdirSync(path.join(src, folder), { recursive: true, encoding: 'utf8' })
          .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
          .map((file) => path.join(folder, file)),
      )
      .filter((file) => fs.readFileSync(path.join(src, file), 'utf8').includes(`/${module}.ts'`));
    expect(importing).toEqual([]);
  });
});
