import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { describe, test } from 'node:test'
import { join } from 'conclave'
import { parseAnnouncement, parseTerm } from '../../src/election/index.ts'
import { until, workspace } from '../support/index.ts'
import { member, own } from '../process/support.ts'

describe('a file torn by a crash', () => {
  test('no beginning of an announcement or of a term is taken for a whole one', async (t) => {
    const folder = workspace(t)
    await own(t, folder)
    const read = (name: string): string => readFileSync(path(folder, '.conclave', name), 'utf8')
    const [announcement, term] = [read('primary.json'), read('term')]
    assert.ok(parseAnnouncement(announcement) !== undefined && parseTerm(term).type === 'term')
    // Without its newline it is whole: nothing is missing that means anything.
    for (let end = 0; end < announcement.trimEnd().length; end++) {
      assert.equal(parseAnnouncement(announcement.slice(0, end)), undefined)
      assert.equal(parseAnnouncement(announcement.slice(0, end).padEnd(announcement.length, '\0')), undefined)
    }
    for (let end = 0; end < term.trimEnd().length; end++) assert.equal(parseTerm(term.slice(0, end)).type, 'damaged')
  })

  test('whoever joins over it is primary, in a higher term', async (t) => {
    const folder = workspace(t)
    const directory = path(folder, '.conclave')
    let term = 0
    for (const name of ['primary.json', 'term']) {
      for (const part of [0, 0.6]) {
        // What it finds: the files of a primary that was killed, one of them cut.
        const primary = await member(t, folder)
        await primary.kill('SIGKILL')
        assert.ok(primary.term > term)
        const whole = readFileSync(path(directory, name), 'utf8')
        writeFileSync(path(directory, name), whole.slice(0, whole.length * part))
        const next = await join(folder)
        assert.equal(next.role, 'primary')
        assert.ok(next.term > primary.term, `${name} torn at ${part}: term ${next.term} after ${primary.term}`)
        term = next.term
        next.abort()
      }
    }
  })

  test('who reads while primaries are killed sees a whole announcement, always', async (t) => {
    const folder = workspace(t)
    const file = path(folder, '.conclave', 'primary.json')
    let reading = true
    let reads = 0
    const torn: string[] = []
    const first = await member(t, folder)
    const reader = (async () => {
      while (reading) {
        const text = readFileSync(file, 'utf8')
        reads++
        if (parseAnnouncement(text) === undefined) torn.push(text)
        await new Promise(setImmediate)
      }
    })()
    let last = first
    for (let round = 0; round < 4; round++) {
      const next = await member(t, folder)
      await last.kill('SIGKILL')
      await until(
        () => next.messages.some((said) => said['status'] === 'role' && said['role'] === 'primary'),
        'it to win',
      )
      last = next
    }
    reading = false
    await reader
    assert.deepEqual(torn, [])
    assert.ok(reads > 100)
  })
})
