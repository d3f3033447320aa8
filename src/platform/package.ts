import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConclaveError } from '../errors/index.ts'
import { fs } from './builtins.ts'

const { url } = import.meta as { readonly url?: string }

/**
 * The folder of our package.json: this file lies below it, in src/ or, wherever the build has put it, in dist/.
 * @throws `UNSUPPORTED` where a bundler has put our code into another program: the addon does not travel with it
 */
export function packageRoot(): string {
  let folder = url === undefined ? '/' : dirname(fileURLToPath(url))
  while (folder !== dirname(folder)) {
    if (isOurs(folder)) return folder
    folder = dirname(folder)
  }
  const text = 'conclave was bundled into another program and does not find its files: mark it as external there.'
  throw new ConclaveError('UNSUPPORTED', text)
}

/** The file of a program of ours, to start a process of it: `path` is that below src/, without the extension. */
export function programFile(path: string): string {
  const fromSource = url?.endsWith('.ts') === true
  return fromSource ? join(packageRoot(), 'src', `${path}.ts`) : join(packageRoot(), 'dist', 'src', `${path}.js`)
}

function isOurs(folder: string): boolean {
  try {
    const { name } = JSON.parse(fs.readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly name?: unknown }
    return name === 'conclave'
  } catch {
    return false
  }
}
