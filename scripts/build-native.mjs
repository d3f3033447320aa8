// Compiles native/*.c into build/conclave.node. Runs from `prepare` in a checkout, maybe under an old system Node;
// users of the package never run it, unless their platform has no binary in the tarball.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const native = join(root, 'native')
const output = join(root, 'build', 'conclave.node')

/** Flags of every build; scripts/prebuild.mjs uses them too. */
export const FLAGS = ['-std=gnu11', '-O2', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra']

export function sources() {
  return readdirSync(native)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(native, name))
}

/** The directory of node_api.h and uv.h: of the `node` devDependency, else of the Node that runs this. */
export function headers() {
  // The package `node` fetches another one with the binary and the headers; macOS on arm64 has a name of its own.
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  const packageName = `${prefix}-${process.platform}-${process.arch}`
  const places = [
    join(root, 'node_modules', 'node', 'node_modules', packageName, 'include', 'node'),
    join(root, 'node_modules', packageName, 'include', 'node'),
    join(dirname(process.execPath), '..', 'include', 'node'),
  ]
  return places.find((place) => existsSync(join(place, 'node_api.h')) && existsSync(join(place, 'uv.h')))
}

function upToDate() {
  if (!existsSync(output)) return false
  const built = statSync(output).mtimeMs
  const inputs = [...readdirSync(native).map((name) => join(native, name)), fileURLToPath(import.meta.url)]
  return inputs.every((input) => statSync(input).mtimeMs <= built)
}

/** @returns what went wrong, or undefined */
function build() {
  const include = headers()
  if (include === undefined) {
    return 'the headers of Node are missing: run `npm install` with devDependencies, so that the package `node` is there.'
  }
  const compiler = process.env['CC'] || 'cc'
  // Written beside and renamed: a process that has the old one loaded keeps its pages.
  const temporary = `${output}.${process.pid}`
  mkdirSync(dirname(output), { recursive: true })
  const link = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared']
  const run = spawnSync(compiler, [...FLAGS, ...link, `-I${include}`, ...sources(), '-o', temporary], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (run.error === undefined && run.status === 0) {
    renameSync(temporary, output)
    return undefined
  }
  rmSync(temporary, { force: true })
  return run.error === undefined
    ? `${compiler} failed, see its messages above.`
    : `there is no C compiler \`${compiler}\`: install one (Debian: apt-get install gcc; macOS: xcode-select --install) or name it in CC.`
}

function prebuildExists() {
  const target = `${process.platform}-${process.arch}`
  return [target, `${target}-musl`].some((name) => existsSync(join(root, 'prebuilds', name, 'conclave.node')))
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main()

function main() {
  if (process.platform === 'win32') {
    console.warn('conclave: Windows is not supported yet; the native addon is not built.')
    return
  }
  if (upToDate()) return
  const problem = build()
  if (problem === undefined) return
  if (prebuildExists()) {
    console.warn(`conclave: the native addon is not built, the one in prebuilds/ is used: ${problem}`)
  } else {
    console.error(`conclave: the native addon can't be built: ${problem}`)
    process.exitCode = 1
  }
}
