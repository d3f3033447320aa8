// Compiles src/ into few files: dist/src gets one for each entry of package.json and each program that is started by its
// path, and in chunks/ what they share. Declarations and the check of types are tsc's.
import { globSync, readFileSync, rmSync } from 'node:fs'
import { join, normalize, relative, resolve } from 'node:path'
import { build } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const { engines, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const main = normalize(exports['.'].source)
const entries = Object.values(exports).flatMap(({ source }) => (source === undefined ? [] : [normalize(source)]))
const programs = ['src/cli/main.ts', 'src/cli/demo/worker.ts', 'src/dialects/eventbus/daemon.ts']

/** @type {import('esbuild').BuildOptions & { metafile: true }} */
const options = {
  absWorkingDir: root,
  entryPoints: [...entries, ...programs],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: `node${/\d+\.\d+/.exec(engines.node)?.[0]}`,
  packages: 'external',
  outbase: 'src',
  outdir: 'dist/src',
  chunkNames: 'chunks/[name]-[hash]',
  sourcemap: 'linked',
  // The maps lead to src/, which the package holds.
  sourcesContent: false,
  metafile: true,
}

const { metafile } = await build({ ...options, write: false })
const built = await build({ ...options, plugins: [coreInOneChunk(metafile.outputs)] })
for (const file of globSync('dist/src/**/*.{js,js.map}', { cwd: root })) {
  if (built.metafile.outputs[file] === undefined) rmSync(join(root, file))
}

/**
 * What `conclave` itself loads becomes one chunk. Left alone, esbuild makes a chunk for each set of entries that share a
 * module: 14 files, which cost each process 5 ms. So every entry that needs a module of the core is made to need all of them.
 *
 * @param {import('esbuild').Metafile['outputs']} outputs of a build without it
 * @returns {import('esbuild').Plugin}
 */
function coreInOneChunk(outputs) {
  /** Sources that each entry loads at once, lazy ones among the entries. @type {Map<string, readonly string[]>} */
  const loaded = new Map()
  for (const [file, { entryPoint }] of Object.entries(outputs)) {
    if (entryPoint === undefined) continue
    const files = new Set([file])
    for (const each of files) {
      for (const { kind, path, external } of outputs[each]?.imports ?? []) {
        if (kind === 'import-statement' && external !== true) files.add(path)
      }
    }
    loaded.set(
      entryPoint,
      [...files].flatMap((each) => Object.keys(outputs[each]?.inputs ?? {})),
    )
  }
  const core = new Set(loaded.get(main))
  const users = [...loaded].filter(([, sources]) => sources.some((source) => core.has(source))).map(([entry]) => entry)
  return {
    name: 'core in one chunk',
    setup(build) {
      build.onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
        const file = resolve(resolveDir, path)
        // An import of what has side effects is never dropped.
        return core.has(relative(root, file)) ? { path: file, sideEffects: true } : undefined
      })
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path === resolve(root, main) || !users.includes(relative(root, path))) return undefined
        const contents = `${readFileSync(path, 'utf8')}\nimport ${JSON.stringify(resolve(root, main))}\n`
        return { contents, loader: 'ts' }
      })
    },
  }
}
