import { type LinuxSurface, openLinuxSurface } from '../linux/linux-surface.ts';

let surface: LinuxSurface | undefined;

/** The machine's Linux, opened at the first call and kept: it owns an arena and the FFI's declarations. */
export function machineSurface(): LinuxSurface {
  surface ??= openLinuxSurface();
  return surface;
}
