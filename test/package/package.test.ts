// limit: 300 s
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { targetName } from '../../src/platform/native.ts'
import { execute, ROOT, spawnProgram, temporaryDirectory, workspace } from '../support/index.ts'
import { npm, pack, tool } from './pack.ts'

const HERE = join(ROOT, 'test', 'package')
const SNAPSHOT = join(HERE, 'exports.json')

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
}

/** The names a declaration file exports; it must say each of them (`export *` is no list). */
function exportsOf(declarations: string): string[] {
  const code = declarations.replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, '')
  assert.doesNotMatch(code, /export \*/)
  const lists = code.matchAll(/export (type )?\{([^}]*)\}/g)
  const listed = [...lists].flatMap(([, type = '', names = '']) =>
    names
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => `${type}${name.replace(/^(type )?.* as /, '$1')}`),
  )
  const declared = code.matchAll(/^export (?:declare )?(?:abstract )?(interface|type|class|function|const) (\w+)/gm)
  const direct = [...declared].map(([, kind = '', name = '']) =>
    /^(interface|type)$/.test(kind) ? `type ${name}` : name,
  )
  return [...listed, ...direct].sort()
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** The files that a compiled file imports. */
function importsOf(path: string, when: 'at once' | 'ever' = 'ever'): string[] {
  const code = readFileSync(join(ROOT, path), 'utf8')
  const form = when === 'ever' ? /(?:from |import |import\()"(\.[^"]+\.js)"/g : /(?:from |import )"(\.[^"]+\.js)"/g
  const imports = code.matchAll(form)
  return [...imports].map(([, target = '']) => join(dirname(path), target))
}

/** The files of src/ that are in a compiled file. */
function sourcesOf(path: string): string[] {
  const map = JSON.parse(readFileSync(join(ROOT, `${path}.map`), 'utf8')) as { readonly sources: string[] }
  return map.sources.map((source) => join(dirname(path), source))
}

function kindOf(name: string): 'value' | 'type' {
  return name.startsWith('type ') ? 'type' : 'value'
}

test('the packed tarball', async (t) => {
  const folder = temporaryDirectory(t)
  const packed = await pack(t, folder)
  t.diagnostic(`${Math.round(packed.bytes / 1024)} KiB, unpacked ${Math.round(packed.unpackedBytes / 1024)} KiB`)
  const app = join(folder, 'app')
  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n')
  const root = join(app, 'node_modules', 'conclave')
  const manifest = (): Manifest => manifestOf(root)

  await t.test('holds what it must and nothing else', () => {
    const { paths } = packed
    for (const path of [
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'bin/conclave.js',
      'dist/src/index.js',
      'dist/src/index.d.ts',
      'dist/src/cli/main.js',
      'dist/src/testing/index.js',
      'src/index.ts',
      'native/addon.c',
      'scripts/build-native.mjs',
      `prebuilds/${targetName()}/conclave.node`,
    ]) {
      assert.ok(paths.includes(path), `${path} is missing`)
    }
    const known =
      /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|scripts\/build-native\.mjs)$|^(bin|dist\/src|src|native|prebuilds|docs)\//
    const odd = paths.filter((path) => !known.test(path) || /\.tsbuildinfo$|\.test\.|node_modules|\.tmp/.test(path))
    assert.deepEqual(odd, [])
    // A source for each declaration, and nothing compiled of old.
    const orphans = paths
      .filter((path) => /^dist\/src\/.*\.d\.ts$/.test(path))
      .filter((path) => !paths.includes(path.replace(/^dist\//, '').replace(/\.d\.ts$/, '.ts')))
    assert.deepEqual(orphans, [], 'compiled from sources that are gone: remove dist/ and build again')
    const programs = ['dist/src/cli/main.js', 'dist/src/cli/demo/worker.js', 'dist/src/dialects/eventbus/daemon.js']
    const entries = Object.values(manifestOf(ROOT).exports).flatMap((target) =>
      typeof target === 'string' ? [] : [join(target.default)],
    )
    const compiled = new Set([...entries, ...programs])
    for (const path of compiled) for (const other of importsOf(path)) compiled.add(other)
    assert.deepEqual(
      paths.filter((path) => path.endsWith('.js') && path.startsWith('dist/')).toSorted(),
      [...compiled].toSorted(),
      'each compiled file is an entry, a program, or imported by one of them',
    )
    const sources = [...compiled].flatMap(sourcesOf)
    const lost = sources.filter((source) => !paths.includes(source))
    assert.deepEqual(lost, [], 'stack traces lead to sources that are there')
    // Each class and each table is one, whichever entry it is reached by.
    const twice = sources.filter((source, at) => sources.indexOf(source) !== at)
    assert.deepEqual(twice, [], 'compiled into two files')
  })

  await t.test('publint has nothing against it', async (t) => {
    const { code, stdout, stderr } = await tool(t, 'publint/src/cli.js', ['run', packed.file, '--strict'])
    assert.equal(code, 0, stdout + stderr)
  })

  await t.test('are the types wrong? no', async (t) => {
    // The .proto file is no module.
    const args = [
      packed.file,
      '--profile',
      'esm-only',
      '--exclude-entrypoints',
      './drpc.proto',
      '--no-color',
      '--no-emoji',
    ]
    const { code, stdout, stderr } = await tool(t, '@arethetypeswrong/cli/dist/index.js', args)
    assert.equal(code, 0, stdout + stderr)
  })

  await t.test('installs into an empty folder, without scripts and without a network', async (t) => {
    const args = [
      'install',
      '--ignore-scripts',
      '--offline',
      '--no-audit',
      '--no-fund',
      '--cache',
      join(folder, 'cache'),
    ]
    const { code, stderr } = await npm(t, [...args, packed.file], { cwd: app })
    assert.equal(code, 0, stderr)
    assert.ok(existsSync(join(root, 'prebuilds', targetName(), 'conclave.node')))
    assert.deepEqual(manifest().dependencies ?? {}, {})
    for (const script of ['preinstall', 'install', 'postinstall']) assert.equal(manifest().scripts[script], undefined)
  })

  await t.test('exports what test/package/exports.json says', async (t) => {
    // Whoever imports these entries has them.
    for (const peer of ['drizzle-orm', 'kysely']) {
      symlinkSync(join(ROOT, 'node_modules', peer), join(app, 'node_modules', peer))
    }
    const now: Record<string, Readonly<Record<string, 'value' | 'type'>>> = {}
    for (const [entry, target] of Object.entries(manifest().exports)) {
      if (typeof target === 'string') continue
      const names = exportsOf(readFileSync(join(root, target.types), 'utf8'))
      now[entry] = Object.fromEntries(names.map((name) => [name.replace(/^type /, ''), kindOf(name)]))
      const code = `console.log(JSON.stringify(Object.keys(await import('${join('conclave', entry)}')).sort()))`
      const args = ['--input-type=module', '-e', code]
      const { stdout, stderr } = await execute(t, process.execPath, args, { cwd: app })
      assert.equal(stderr, '')
      const values = names.filter((name) => kindOf(name) === 'value')
      assert.deepEqual(JSON.parse(stdout), values, `${entry}: values as imported, and as declared`)
    }
    if (process.env['CONCLAVE_UPDATE'] === '1') writeFileSync(SNAPSHOT, `${JSON.stringify(now, null, 2)}\n`)
    const hint = 'meant? CONCLAVE_UPDATE=1 npm test -- package/package, and review the difference'
    assert.ok(existsSync(SNAPSHOT), hint)
    assert.deepEqual(now, JSON.parse(readFileSync(SNAPSHOT, 'utf8')), hint)
  })

  await t.test('a member loads few files and few modules of Node', async (t) => {
    const files = new Set(['dist/src/index.js'])
    for (const path of files) for (const other of importsOf(path, 'at once')) files.add(other)
    assert.ok(files.size <= 3, [...files].join(', '))
    const sources = [...files].flatMap(sourcesOf)
    assert.ok(sources.includes('src/platform/posix.ts'))
    const others = sources.filter((source) =>
      /^src\/(cli|dialects|testing)\/|\/memory|sqlite\/coordinator/.test(source),
    )
    assert.deepEqual(others, [], 'what only other entries need')
    // Each of these costs a process one to five milliseconds and up to three MiB.
    const costly = ['crypto', 'stream', 'perf_hooks', 'internal/fs/promises', 'child_process', 'net', 'internal/worker']
    const code = `
      const { join } = await import('conclave')
      const member = await join(${JSON.stringify(workspace(t))})
      const loaded = process.moduleLoadList.map((name) => name.replace('NativeModule ', ''))
      process.getBuiltinModule('node:fs').writeSync(1, JSON.stringify(loaded))
      await member.close()`
    const { stdout, stderr } = await execute(t, process.execPath, ['--input-type=module', '-e', code], { cwd: app })
    assert.equal(stderr, '')
    const loaded = JSON.parse(stdout) as readonly string[]
    assert.ok(loaded.includes('fs'), stdout)
    assert.deepEqual(
      costly.filter((name) => loaded.includes(name)),
      [],
    )
  })

  await t.test('its declarations compile in a strict program', async (t) => {
    copyFileSync(join(HERE, 'consumer.ts'), join(app, 'consumer.ts'))
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2023',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules', '@types')],
    }
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['consumer.ts'] }))
    const { code, stdout } = await tool(t, 'typescript/bin/tsc', ['-p', '.'], { cwd: app })
    assert.equal(code, 0, stdout)
  })

  await t.test('two processes join a folder, and the second carries on when the first is killed', async (t) => {
    copyFileSync(join(HERE, 'two-processes.mjs'), join(app, 'two-processes.mjs'))
    const place = workspace(t)
    const start = (name: string) =>
      spawnProgram(t, join(app, 'two-processes.mjs'), [place, name], { cwd: app, sources: false })
    interface Said {
      readonly role: string
      readonly term: number
      readonly answer: string
    }
    const ada = start('ada')
    const first = await ada.ready<Said>()
    assert.equal(first.role, 'primary')
    const bob = start('bob')
    assert.equal((await bob.ready<Said>()).role, 'secondary')

    bob.send({ call: 'greet', params: 'Eve' })
    assert.equal((await bob.next<Said>()).answer, 'hello Eve, ada answers')
    await ada.kill('SIGKILL')
    bob.send({ call: 'greet', params: 'Eve' })
    const last = await bob.next<Said>()
    assert.equal(last.answer, 'hello Eve, bob answers')
    assert.equal(last.role, 'primary')
    assert.ok(last.term > first.term)
    bob.letGo()
    assert.deepEqual(await bob.exit, { code: 0, signal: null })
  })

  await t.test('its command runs', async (t) => {
    const { code, stdout, stderr } = await execute(t, process.execPath, [join(root, 'bin', 'conclave.js'), '--help'], {
      cwd: app,
    })
    assert.equal(code, 0, stderr)
    assert.match(stdout, /conclave/)
  })
})
