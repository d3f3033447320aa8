import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isTerm, MAX_TERM, nextTerm, parseTerm, readTerm, TERM_JUMP, termPath } from '../../src/election/index.ts'
import { formatTerm, writeTerm } from '../../src/election/term.ts'
import { code, memoryWorkspace } from './support.ts'

const terms = fc.integer({ min: 1, max: MAX_TERM })
const boots = fc.option(fc.string(), { nil: undefined })
const written = (term: number, boot: string | undefined) => ({ type: 'term', term, boot }) as const
const file = (term: number) => written(term, 'now')

describe('nextTerm', () => {
  it('is 1 where nothing was, else one more than the highest on record', () => {
    assert.equal(nextTerm({ file: { type: 'absent' }, boot: 'now', records: [] }), 1)
    assert.equal(nextTerm({ file: { type: 'absent' }, boot: 'now', records: [0, 0] }), 1, '0 is no record')
    assert.equal(nextTerm({ file: file(7), boot: 'now', records: [] }), 8)
    assert.equal(nextTerm({ file: file(7), boot: 'now', records: [3, 12, 9] }), 13)
    assert.equal(nextTerm({ file: written(7, undefined), boot: undefined, records: [] }), 8)
  })

  it('B8 jumps after a reboot, and when the file is damaged or missing beside other traces', () => {
    assert.equal(nextTerm({ file: written(7, 'before'), boot: 'now', records: [] }), 8 + TERM_JUMP)
    assert.equal(nextTerm({ file: written(7, undefined), boot: 'now', records: [] }), 8 + TERM_JUMP)
    assert.equal(nextTerm({ file: { type: 'damaged' }, boot: 'now', records: [] }), 1 + TERM_JUMP)
    assert.equal(nextTerm({ file: { type: 'damaged' }, boot: 'now', records: [40] }), 41 + TERM_JUMP)
    assert.equal(nextTerm({ file: { type: 'absent' }, boot: 'now', records: [40] }), 41 + TERM_JUMP)
    assert.equal(nextTerm({ file: { type: 'absent' }, boot: 'now', records: [], traces: true }), 1 + TERM_JUMP)
  })

  it('B4 B8 an impossible record counts as damage, not as a term', () => {
    assert.equal(nextTerm({ file: file(7), boot: 'now', records: [2 ** 53, NaN, -4, 1.5, MAX_TERM + 1] }), 8)
    assert.equal(nextTerm({ file: { type: 'absent' }, boot: 'now', records: [2 ** 53] }), 1 + TERM_JUMP)
  })

  it('rises above every record until the last term, then refuses', () => {
    fc.assert(
      fc.property(terms, boots, boots, fc.array(terms), (term, boot, now, records) => {
        const highest = Math.max(term, ...records)
        const next = (): number => nextTerm({ file: written(term, boot), boot: now, records })
        if (highest === MAX_TERM) assert.throws(next, code('UNSAFE_WORKSPACE', /used up/))
        else assert(isTerm(next()) && next() > highest)
      }),
    )
    assert.equal(nextTerm({ file: written(MAX_TERM - 1, 'before'), boot: 'now', records: [] }), MAX_TERM)
    assert.throws(() => nextTerm({ file: file(MAX_TERM), boot: 'now', records: [] }), code('UNSAFE_WORKSPACE'))
  })
})

describe('the term file', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(terms, boots, (term, boot) => {
        assert.deepEqual(parseTerm(formatTerm(term, boot)), { type: 'term', term, boot })
      }),
    )
    const workspace = memoryWorkspace()
    assert.deepEqual(readTerm(workspace), { type: 'absent' })
    writeTerm(workspace, 5)
    assert.deepEqual(readTerm(workspace), { type: 'term', term: 5, boot: workspace.platform.bootId })
  })

  it('B8 shows damage: a cut, a changed digit, another checksum, a term out of range', () => {
    fc.assert(
      fc.property(terms, boots, fc.nat(), fc.integer({ min: 0x20, max: 0x7e }), (term, boot, at, char) => {
        const text = formatTerm(term, boot)
        const i = at % text.trimEnd().length
        assert.deepEqual(parseTerm(text.slice(0, i)), { type: 'damaged' })
        const changed = parseTerm(text.slice(0, i) + String.fromCharCode(char) + text.slice(i + 1))
        if (changed.type === 'term') assert.equal(changed.term, term)
      }),
    )
    const text = formatTerm(1234, 'now')
    for (const digits of ['1235', '9234', '123', '12345']) {
      assert.deepEqual(parseTerm(text.replace('1234', digits)), { type: 'damaged' }, digits)
    }
    assert.deepEqual(parseTerm(text.replace('now', 'new')), { type: 'damaged' })
    for (const term of [0, -1, 1.5, MAX_TERM + 1, 2 ** 48, 2 ** 53]) {
      assert.deepEqual(parseTerm(formatTerm(term, 'now')), { type: 'damaged' }, String(term))
    }
  })

  it('never throws, whatever it holds', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseTerm(text).type, 'damaged')))
    const workspace = memoryWorkspace()
    workspace.platform.replaceFile(termPath(workspace), 'x'.repeat(5000))
    assert.deepEqual(readTerm(workspace), { type: 'damaged' })
    workspace.platform.remove(termPath(workspace))
    workspace.platform.makeDirectory(termPath(workspace), 0o700)
    assert.deepEqual(readTerm(workspace), { type: 'damaged' })
  })
})
