import assert from 'node:assert/strict'
import { join } from 'node:path'
import { execute, NODE_FLAGS, ROOT, type ExecuteOptions, type Executed, type Scope } from '../support/index.ts'

const LIMIT_MS = 100_000

export interface Packed {
  readonly file: string
  /** Paths inside, without the leading `package/`. */
  readonly paths: readonly string[]
  readonly bytes: number
  readonly unpackedBytes: number
}

/** npm with nothing of an npm that may have started us: neither its settings nor its cache. */
export function npm(t: Scope, args: readonly string[], options: ExecuteOptions): Promise<Executed> {
  const own = Object.keys(process.env).filter((name) => name.toLowerCase().startsWith('npm_'))
  const env = { ...Object.fromEntries(own.map((name) => [name, undefined])), ...options.env }
  const cli = process.env['npm_execpath']
  const [command, first] = cli?.endsWith('.js') === true ? [process.execPath, [cli]] : ['npm', []]
  return execute(t, command, [...first, ...args], { limitMs: LIMIT_MS, ...options, env })
}

/** A tool of node_modules/ by the file it runs. */
export function tool(t: Scope, file: string, args: readonly string[], options: ExecuteOptions = {}): Promise<Executed> {
  return execute(t, process.execPath, [join(ROOT, 'node_modules', file), ...args], { limitMs: LIMIT_MS, ...options })
}

/** Compiles, takes this platform's binary along, and packs: what `npm publish` would send. */
export async function pack(t: Scope, destination: string): Promise<Packed> {
  const built = await tool(t, 'typescript/bin/tsc', ['-b', 'tsconfig.build.json'])
  assert.equal(built.code, 0, built.stdout)
  const bundled = await execute(t, process.execPath, ['scripts/bundle.mjs'])
  assert.equal(bundled.code, 0, bundled.stderr)
  const prepack = (...args: readonly string[]) =>
    execute(t, process.execPath, [...NODE_FLAGS, 'scripts/prepack.mjs', ...args])
  const prepared = await prepack()
  assert.equal(prepared.code, 0, prepared.stderr)
  try {
    const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', destination]
    const { code, stdout, stderr } = await npm(t, args, {})
    assert.equal(code, 0, stderr)
    // A list in older npm, an object by package name in newer.
    const [packed] = Object.values(JSON.parse(stdout) as Readonly<Record<string, NpmPacked>>)
    assert.ok(packed)
    return {
      file: join(destination, packed.filename),
      paths: packed.files.map(({ path }) => path),
      bytes: packed.size,
      unpackedBytes: packed.unpackedSize,
    }
  } finally {
    await prepack('--undo')
  }
}

interface NpmPacked {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}
