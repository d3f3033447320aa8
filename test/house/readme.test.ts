import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { blocksOf, printsOf } from '../support/blocks.ts'
import { execute, NODE_FLAGS, ROOT, temporaryDirectory, workspace, type Scope } from '../support/index.ts'

const DOCUMENTS = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT })].filter((file) =>
  existsSync(join(ROOT, file)),
)
const BLOCKS = DOCUMENTS.flatMap((file) => blocksOf(file, readFileSync(join(ROOT, file), 'utf8')))

/** A folder where `conclave` and the devDependencies are installed. */
function installed(t: Scope): string {
  const folder = temporaryDirectory(t)
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  symlinkSync(ROOT, join(modules, 'conclave'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

/** `README-31.ts`: the block that begins on line 31. */
function nameOf({ file, line }: { readonly file: string; readonly line: number }): string {
  return `${file.replace(/\.md$/, '').replaceAll('/', '-')}-${line}.ts`
}

async function typeErrors(t: Scope, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = installed(t)
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), `${code}\nexport {}\n`)
  const compilerOptions = { incremental: false, noEmit: true, tsBuildInfoFile: null }
  const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: ['*.ts'], exclude: [] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = [tsc, '-p', '.', '--pretty', 'false']
  const { code, stdout } = await execute(t, process.execPath, args, { cwd: folder, limitMs: 100_000 })
  assert.equal(code === 0, stdout === '')
  return stdout
}

describe('the documents', () => {
  test('README.md holds programs', () => {
    assert.ok(BLOCKS.some(({ file }) => file === 'README.md'))
  })

  test('all their programs compile', async (t) => {
    const errors = await typeErrors(t, Object.fromEntries(BLOCKS.map((block) => [nameOf(block), block.code])))
    assert.equal(errors, '')
  })

  for (const block of BLOCKS.filter(({ run }) => run)) {
    test(`${block.file}:${block.line} runs`, async (t) => {
      const cwd = workspace(t)
      const file = join(installed(t), nameOf(block))
      writeFileSync(file, block.code)
      const { code, stdout, stderr } = await execute(t, process.execPath, [...NODE_FLAGS, file], { cwd })
      assert.equal(code, 0, stderr)
      for (const text of printsOf(block.code)) assert.ok(stdout.includes(text), `${text}\nis not in\n${stdout}`)
    })
  }
})

describe('blocksOf', () => {
  const markdown = [
    '# x',
    '```ts',
    'const a = 1',
    '```',
    '',
    '```ts run continued',
    'a // prints: 1',
    '```',
    '```sh',
    '```',
  ].join('\n')

  test('finds the ts blocks, at their lines', () => {
    const [first, second, ...more] = blocksOf('x.md', markdown)
    assert.deepEqual(more, [])
    assert.deepEqual(first, { file: 'x.md', line: 3, code: '\n\nconst a = 1', run: false })
    assert.deepEqual(second, { file: 'x.md', line: 7, code: '\n\nconst a = 1\n\n\n\na // prints: 1', run: true })
    assert.deepEqual(printsOf(second?.code ?? ''), ['1'])
  })

  test('refuses words it does not know, and blocks without an end', () => {
    assert.throws(() => blocksOf('x.md', '```ts runs\n```'), /x.md:1: ```ts runs: not a known word/)
    assert.throws(() => blocksOf('x.md', '```ts\n'), /x.md:1: a block that does not end/)
  })

  test('the compiler complains at the line of the document', async (t) => {
    const [block] = blocksOf('x.md', '# x\n```ts\nconst n: number = "a"\n```')
    assert.ok(block)
    assert.match(await typeErrors(t, { 'x.ts': block.code }), /^x.ts\(3,7\): error TS2322/)
  })
})
