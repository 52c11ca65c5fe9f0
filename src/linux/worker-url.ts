/**
 * The compiled worker `name` of this folder. Run from sources (tests), the worker is the one in `dist/`, because
 * Node 20 cannot start a worker from TypeScript; the test command builds first.
 */
export function workerUrl(name: string): URL {
  const here = import.meta.url;
  return here.endsWith('.ts') ? new URL(`../../dist/linux/${name}.js`, here) : new URL(`./${name}.js`, here);
}
