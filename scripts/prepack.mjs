// `npm pack` on a machine that did not build all targets: the tarball gets at least the binary of this platform, from
// build/. What it copied is taken back afterwards (`--undo`), so that prebuilds/ never hides a newer build.
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { targetName } from '../src/platform/native.ts'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(root, 'build', 'conclave.node')
const folder = join(root, 'prebuilds', targetName())
const packed = join(folder, 'conclave.node')
const mark = join(root, 'build', 'prepacked')

if (process.argv.includes('--undo')) {
  if (existsSync(mark)) rmSync(folder, { recursive: true })
  rmSync(mark, { force: true })
} else if (!existsSync(packed)) {
  if (!existsSync(built)) {
    console.error('conclave: there is no native binary to pack: run `npm run native` or `npm run prebuild`.')
    process.exit(1)
  }
  mkdirSync(folder, { recursive: true })
  copyFileSync(built, packed)
  writeFileSync(mark, '')
} else {
  const newest = Math.max(
    ...readdirSync(join(root, 'native')).map((name) => statSync(join(root, 'native', name)).mtimeMs),
  )
  const old = readdirSync(join(root, 'prebuilds')).filter((target) => {
    const file = join(root, 'prebuilds', target, 'conclave.node')
    return existsSync(file) && statSync(file).mtimeMs < newest
  })
  if (old.length > 0) {
    console.error(
      `conclave: prebuilds/ is older than native/ (${old.join(', ')}): run \`npm run prebuild\` or remove it.`,
    )
    process.exit(1)
  }
}
