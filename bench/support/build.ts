import { spawnSync } from 'node:child_process'
import { existsSync, globSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')

/** Under `--conditions=source` the bench measures src/ as it is, otherwise what users get: dist/. */
export const FROM_SOURCE: boolean = process.execArgv.some((flag) => /^(--conditions=|-C=?)source$/.test(flag))

/** Compiles src/ when dist/ is older. @throws if it does not compile */
export function freshBuild(): void {
  if (FROM_SOURCE) return
  const built = join(ROOT, 'dist', 'src', 'index.js')
  const since = existsSync(built) ? statSync(built).mtimeMs : 0
  const changed = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => statSync(join(ROOT, file)).mtimeMs > since)
  if (changed.length === 0) return
  process.stderr.write(`dist/ is older than ${changed.length} files of src/: compiling.\n`)
  const run = (file: string, ...args: readonly string[]): boolean =>
    spawnSync(process.execPath, [join(ROOT, file), ...args], { cwd: ROOT, stdio: ['ignore', 2, 2] }).status === 0
  if (!run('node_modules/typescript/bin/tsc', '-b', 'tsconfig.build.json') || !run('scripts/bundle.mjs')) {
    throw new Error(
      'src/ does not compile, so dist/ is not what src/ says. Mend it, or measure dist/ as it is: --no-build.',
    )
  }
}
