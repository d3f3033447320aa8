import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fs } from './builtins.ts'

/** The folder of our package.json: this file lies below it, in src/ or, wherever the build has put it, in dist/. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!fs.existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

/** The file of a program of ours, to start a process of it: `path` is that below src/, without the extension. */
export function programFile(path: string): string {
  const fromSource = import.meta.url.endsWith('.ts')
  return fromSource ? join(packageRoot(), 'src', `${path}.ts`) : join(packageRoot(), 'dist', 'src', `${path}.js`)
}
