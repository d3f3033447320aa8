import { fs } from './builtins.ts'

/**
 * As many random bytes, from the kernel. Not of node:crypto, which takes each process 4 ms and 3 MiB to load, unless
 * there is no /dev/urandom (a bare chroot) or something else lies in its place.
 */
export function randomBytes(count: number): Buffer {
  return fromDevice(count) ?? process.getBuiltinModule('node:crypto').randomBytes(count)
}

function fromDevice(count: number): Buffer | undefined {
  let device: number
  try {
    device = fs.openSync('/dev/urandom', 'r')
  } catch {
    return undefined
  }
  try {
    if (!fs.fstatSync(device).isCharacterDevice()) return undefined
    const bytes = Buffer.alloc(count)
    return fs.readSync(device, bytes, 0, count, null) === count ? bytes : undefined
  } finally {
    fs.closeSync(device)
  }
}
