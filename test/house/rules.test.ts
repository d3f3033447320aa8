import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ROOT } from '../support/index.ts'

const DOCUMENT = join(ROOT, 'docs', 'testing.md')
const RULES: readonly string[] = [...rules('A', 14), ...rules('B', 20), ...rules('C', 12), ...rules('F', 12)]
const TO_BE_FILLED = 'to be filled'

function rules(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`)
}

/** The rules that a test file's names begin with: `test('A1: …')`, `test('A8, A9: …')`. */
function rulesOf(source: string): Set<string> {
  const names = source.matchAll(/\b(?:test|it|describe|suite)(?:\.\w+)?\(\s*(['"`])([ABCF]\d{1,2}\b.*?)\1/g)
  return new Set(
    [...names].flatMap(([, , name = '']) => /^(?:[ABCF]\d{1,2}[,/ ]*)+/.exec(name)?.[0].match(/[ABCF]\d+/g) ?? []),
  )
}

const TESTED = new Map<string, string[]>()
// Suites that several test files run lie beside them, or are exported for others.
const FILES = ['test/**/*.test.ts', 'test/engine/local/*.ts', 'src/testing/conformance/*.ts']
for (const file of globSync(FILES, { cwd: ROOT }).sort()) {
  if (file === 'test/house/rules.test.ts') continue
  for (const rule of rulesOf(readFileSync(join(ROOT, file), 'utf8'))) {
    TESTED.set(rule, [...(TESTED.get(rule) ?? []), file])
  }
}

interface Row {
  readonly rule: string
  readonly state: string
  readonly files: readonly string[]
}

function rowsOf(markdown: string): Row[] {
  return [...markdown.matchAll(/^\| ([A-Z]\d+) +\|[^|]*\|([^|]*)\|$/gm)].map(([, rule = '', state = '']) => ({
    rule,
    state: state.trim(),
    files: [...state.matchAll(/`((?:test|src\/testing)\/[^`]+)`/g)].map(([, file = '']) => file),
  }))
}

/** CONCLAVE_UPDATE=1: writes the files that hold the tests of each rule into its row. */
function update(markdown: string): string {
  return markdown.replaceAll(/^(\| ([A-Z]\d+) +\|[^|]*\|)([^|]*)\|$/gm, (line, head: string, rule: string) => {
    const files = TESTED.get(rule)
    return files === undefined ? line : `${head} ${files.map((file) => `\`${file}\``).join(', ')} |`
  })
}

if (process.env['CONCLAVE_UPDATE'] === '1') writeFileSync(DOCUMENT, update(readFileSync(DOCUMENT, 'utf8')))
const ROWS = rowsOf(readFileSync(DOCUMENT, 'utf8'))

describe('docs/testing.md', () => {
  test('has a row for each rule, once, in order', () => {
    assert.deepEqual(
      ROWS.map(({ rule }) => rule),
      RULES,
    )
  })

  test('says of each rule where its test is, or what it waits for', () => {
    const odd = ROWS.filter(({ files, state }) => files.length === 0 && !/^(waits for|no rule:) ./.test(state))
    const todo = odd.map(({ rule, state }) => `${rule}: ${state === TO_BE_FILLED ? state : `"${state}" says neither`}`)
    assert.deepEqual(todo, [])
  })

  test('names files that hold a test of that number', () => {
    const wrong = ROWS.flatMap(({ rule, files }) =>
      files
        .filter((file) => TESTED.get(rule)?.includes(file) !== true)
        .map((file) => `${rule}: no such test in ${file}`),
    )
    assert.deepEqual(wrong, [])
  })

  test('leaves out no test that names a rule', () => {
    const missing = [...TESTED].flatMap(([rule, files]) => {
      const row = ROWS.find((candidate) => candidate.rule === rule)
      return files.filter((file) => row?.files.includes(file) !== true).map((file) => `${rule}: ${file}`)
    })
    assert.deepEqual(
      missing,
      [],
      'CONCLAVE_UPDATE=1 npm test -- house/rules, then npm run format, writes them into docs/testing.md',
    )
  })

  test('how rules are read from names', () => {
    const source =
      "test('A1: x'), test(\"A8, A9: y\"), it(`B12 z`), test('AB1'), test('says A2'), describe(\n'C3', test.skip('F1: '"
    assert.deepEqual([...rulesOf(source)], ['A1', 'A8', 'A9', 'B12', 'C3', 'F1'])
    assert.deepEqual(rowsOf('| A1 | x | `test/a.test.ts`, `test/b.test.ts` |\n| B2  | y | waits for z |'), [
      { rule: 'A1', state: '`test/a.test.ts`, `test/b.test.ts`', files: ['test/a.test.ts', 'test/b.test.ts'] },
      { rule: 'B2', state: 'waits for z', files: [] },
    ])
  })
})
