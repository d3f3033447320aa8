import assert from 'node:assert/strict'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, posix } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { maySee, mayUsePackage, ORDER, PURE, roomOf, ROOMS } from '../../scripts/layers.ts'
import { execute, ROOT, temporaryDirectory, type Scope } from '../support/index.ts'

const SOURCES = globSync('**/*.ts', { cwd: join(ROOT, 'src') }).map((file) => file.replaceAll('\\', '/'))

interface Import {
  readonly file: string
  readonly specifier: string
}

/** Static, dynamic and type imports and re-exports alike: the lint rule does not look at `import()`. */
function importsOf(file: string, source: string): Import[] {
  const code = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
  const found = code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g)
  return [...found].map(([, , specifier = '']) => ({ file, specifier }))
}

function complaintsAbout({ file, specifier }: Import): string[] {
  const from = roomOf(file)
  if (from === undefined) return [`${file} is in no room of scripts/layers.ts`]
  if (specifier.startsWith('node:')) return PURE.includes(from) ? [`${file}: ${from} is pure, no ${specifier}`] : []
  if (!specifier.startsWith('.')) {
    return mayUsePackage(from, specifier) ? [] : [`${file}: ${specifier} is not in the list of packages of ${from}`]
  }
  const target = posix.join(posix.dirname(file), specifier)
  if (target.startsWith('../')) return [] // package.json, native/: the package boundary tests look at those
  const to = roomOf(target)
  if (to === undefined) return [`${file}: ${specifier} is in no room`]
  return maySee(from, to) ? [] : [`${file}: ${from} may not look into ${to} (${specifier})`]
}

interface Finding {
  readonly filename: string
  /** `eslint(no-restricted-imports)` */
  readonly code: string
  readonly message: string
  readonly help?: string
}

/** Lints a tree of small files by the project's own rules. */
async function lint(t: Scope, files: Readonly<Record<string, string>>): Promise<readonly Finding[]> {
  const folder = temporaryDirectory(t)
  const config = pathToFileURL(join(ROOT, 'oxlint.config.ts')).href
  const all = { 'oxlint.config.ts': `export { default } from '${config}'\n`, ...files }
  for (const [path, source] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), source)
  }
  const oxlint = join(ROOT, 'node_modules', 'oxlint', 'bin', 'oxlint')
  const { code, stdout, stderr } = await execute(t, process.execPath, [oxlint, '-f', 'json', 'src'], {
    cwd: folder,
    env: { PATH: `${join(ROOT, 'node_modules', '.bin')}${delimiter}${process.env['PATH']}` }, // where it finds tsgolint
  })
  const { diagnostics } = JSON.parse(stdout) as { readonly diagnostics: readonly Finding[] }
  assert.equal(code, diagnostics.length === 0 ? 0 : 1, stderr)
  return diagnostics
}

/** Where a file of a room lies. */
function fileOf(room: string, name: string): string {
  return room === 'member/bridges' ? `src/member/bridge-${name}` : `src/${room}/${name}`
}

function specifierTo(from: string, to: string): string {
  const path = posix.relative(posix.dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}

describe('layers', () => {
  test('ARCHITECTURE.md says the same order', () => {
    const lines = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').split('\n')
    const line = lines.find((candidate) => candidate.startsWith('errors < wire, platform'))
    assert.equal(line, ORDER)
  })

  test('the sources keep it, dynamic imports included', () => {
    const imports = SOURCES.flatMap((file) => importsOf(file, readFileSync(join(ROOT, 'src', file), 'utf8')))
    assert.deepEqual(imports.flatMap(complaintsAbout), [])
    assert.deepEqual(
      SOURCES.filter((file) => roomOf(file) === undefined),
      [],
    )
  })

  test('src/index.ts holds no logic', () => {
    const source = readFileSync(join(ROOT, 'src', 'index.ts'), 'utf8')
    const code = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
    const rest = code.replaceAll(/^export (?:type )?(?:\{[^}]*\}|\*) from '[^']+'$/gm, '').trim()
    assert.equal(rest, '')
  })

  test('what the scan of imports finds', () => {
    const source = `import type { A } from '../a.ts'
      export { B } from "../b.ts"
      const c = await import('../c.ts')
      import '../d.ts'
      type E = import('../e.ts').E
      // from '../not.ts'
      /* import '../not.ts' */`
    const found = importsOf('x.ts', source).map(({ specifier }) => specifier)
    assert.deepEqual(found, ['../a.ts', '../b.ts', '../c.ts', '../d.ts', '../e.ts'])
    for (const specifier of ['../cli/x.ts', '../nowhere/x.ts', 'left-pad', 'node:fs']) {
      assert.equal(complaintsAbout({ file: 'wire/x.ts', specifier }).length, 1, specifier)
    }
    assert.deepEqual(complaintsAbout({ file: 'rpc/deep/x.ts', specifier: '../../wire/x.ts' }), [])
    assert.equal(complaintsAbout({ file: 'nowhere/x.ts', specifier: './y.ts' }).length, 1)
  })

  test('the table of who sees whom', () => {
    const seen = Object.fromEntries(ROOMS.map((from) => [from, ROOMS.filter((to) => to !== from && maySee(from, to))]))
    const below = ['errors', 'wire', 'platform', 'transport', 'election']
    assert.deepEqual(seen['errors'], [])
    assert.deepEqual([seen['wire'], seen['platform']], [['errors'], ['errors']])
    assert.deepEqual(seen['transport'], ['errors', 'wire', 'platform'])
    for (const room of ['rpc', 'events', 'sqlite', 'observe']) assert.deepEqual(seen[room], below, room)
    const middle = [...below, 'rpc', 'events', 'sqlite']
    assert.deepEqual(seen['engine'], [...middle, 'observe'])
    for (const room of ['engine/local', 'engine/nats']) assert.deepEqual(seen[room], [...middle, 'engine', 'observe'])
    const engines = ['engine/local', 'engine/nats']
    assert.deepEqual(seen['member'], [...middle, 'engine', 'observe', ...engines, 'member/bridges'])
    const bridges = [...middle, 'engine', 'member', 'observe', 'dialects', ...engines]
    assert.deepEqual(seen['member/bridges'], bridges)
    assert.deepEqual(seen['dialects'], [...below, 'rpc'])
    assert.deepEqual(seen['cli'], bridges)
    assert.deepEqual(seen['dashboard'], [...middle, 'engine', 'member', 'observe', ...engines])
    assert.equal(seen['testing']?.length, ROOMS.length - 1)
  })

  test('the lint rule refuses each arrow that is not in the table, and no other', async (t) => {
    const arrows = ROOMS.flatMap((from) =>
      ROOMS.filter((to) => to !== from && to !== 'member/bridges').map((to) => {
        const path = fileOf(from, `to-${to.replace('/', '-')}.ts`)
        return { from, to, path, source: `export { x } from '${specifierTo(path, fileOf(to, 'x.ts'))}'\n` }
      }),
    )
    const findings = await lint(t, {
      ...Object.fromEntries(ROOMS.map((room) => [fileOf(room, 'x.ts'), 'export const x = 1\n'])),
      ...Object.fromEntries(arrows.map(({ path, source }) => [path, source])),
    })
    const expected = arrows.filter(({ from, to }) => !maySee(from, to))
    const wanted = expected.map(({ from, to, path }) => {
      const outer = to.split('/')[0] ?? to
      const named = from === outer || maySee(from, outer) ? to : outer
      return `${path}: Layers: ${from} may not look into ${named}.`
    })
    const refused = findings.map(({ filename, help }) => `${filename}: ${help?.slice(0, help.indexOf('.') + 1)}`)
    assert.deepEqual(refused.sort(), wanted.sort())
    assert.ok(expected.length > 100 && expected.length < arrows.length - 50)
  })

  const other: readonly (readonly [string, RegExp, Readonly<Record<string, string>>])[] = [
    ['a node: module in wire', /wire is pure/, { 'src/wire/a.ts': "export { readFileSync } from 'node:fs'\n" }],
    [
      'a way round through src/',
      /may not look into cli/,
      { 'src/rpc/a.ts': "export { b } from '../../src/cli/b.ts'\n" },
    ],
    ['a type import', /may not look into cli/, { 'src/rpc/a.ts': "export type { B } from '../cli/b.ts'\n" }],
    ['a deep file', /may not look into cli/, { 'src/rpc/a/b.ts': "export { b } from '../../cli/b.ts'\n" }],
    [
      'the package by its name',
      /import the file, not the package/,
      { 'src/rpc/a.ts': "export { join } from 'conclave'\n" },
    ],
    ['the system by name', /porting contract/, { 'src/rpc/a.ts': 'export const a: string = process.platform\n' }],
    ['a default export', /no-default-export/, { 'src/rpc/a.ts': 'export default 1\n' }],
    ['console', /no-console/, { 'src/rpc/a.ts': "console.log('a')\n" }],
    [
      'a floating promise',
      /no-floating-promises/,
      {
        'src/rpc/a.ts': 'export const a = async (): Promise<void> => {}\na()\n',
        'tsconfig.json': '{"include":["src"]}',
      },
    ],
    [
      'a cycle',
      /no-cycle/,
      {
        'src/rpc/a.ts': "import { b } from './b.ts'\nexport const a = (): number => b()\n",
        'src/rpc/b.ts': "import { a } from './a.ts'\nexport const b = (): number => a()\n",
      },
    ],
  ]
  for (const [what, complaint, files] of other) {
    test(`the lint rules refuse ${what}`, async (t) => {
      const findings = await lint(t, files)
      assert.match(findings.map(({ code, message, help }) => `${code} ${message} ${help}`).join('\n'), complaint)
    })
  }

  test('and have nothing against a clean tree', async (t) => {
    const findings = await lint(t, {
      'src/rpc/a.ts':
        "import { readFileSync } from 'node:fs'\nimport { x } from '../wire/x.ts'\nexport const a = [readFileSync, x]\n",
      'src/wire/x.ts': "import { y } from './engine.ts'\nexport const x = y\n",
      'src/wire/engine.ts': 'export const y = 1\n',
      'src/cli/c.ts': 'console.log(process.platform)\n',
    })
    assert.deepEqual(findings, [])
  })
})
