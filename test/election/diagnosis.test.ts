import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judge, type Circumstances, type Sight } from '../../src/election/diagnosis.ts'
import { UNREACHABLE_AFTER_MS, type Announcement } from '../../src/election/index.ts'
import { ConclaveError } from '../../src/errors/index.ts'
import { memoryWorkspace, sit } from './support.ts'

const workspace = memoryWorkspace()
const here: Announcement = sit(workspace).announcement
const elsewhere: Announcement = { ...here, boot: 'another', host: 'elsewhere' }
const error = new ConclaveError('PRIMARY_EXISTS', 'taken')

type Answers = Readonly<Record<Sight['type'], string>>
const STANDING: Answers = {
  nobody: 'PRIMARY_UNRESPONSIVE',
  gone: 'PRIMARY_UNRESPONSIVE',
  starting: 'PRIMARY_STARTING',
  serving: 'PRIMARY_UNRESPONSIVE',
  unreachable: 'PRIMARY_UNREACHABLE',
  refusing: 'PRIMARY_UNRESPONSIVE',
  silent: 'PRIMARY_UNRESPONSIVE',
  exists: 'PRIMARY_EXISTS',
}
const ONLOOKING: Answers = {
  nobody: 'NO_PRIMARY',
  gone: 'NO_PRIMARY',
  starting: 'PRIMARY_STARTING',
  serving: 'PRIMARY_UNRESPONSIVE',
  unreachable: 'NO_PRIMARY',
  refusing: 'NO_PRIMARY',
  silent: 'PRIMARY_UNRESPONSIVE',
  exists: 'PRIMARY_EXISTS',
}
const REMOTE: Partial<Answers> = {
  starting: 'REMOTE_PRIMARY',
  unreachable: 'REMOTE_PRIMARY',
  refusing: 'REMOTE_PRIMARY',
}

function sights(announcement: Announcement): readonly Sight[] {
  return [
    { type: 'nobody', reason: 'none' },
    { type: 'nobody', reason: 'damaged' },
    { type: 'gone', announcement },
    { type: 'starting', announcement },
    { type: 'serving', announcement },
    { type: 'unreachable', announcement },
    { type: 'refusing', announcement, error },
    { type: 'silent', announcement, error },
    { type: 'exists', announcement, error },
  ]
}

function answer(sight: Sight, at: Partial<Circumstances>): string | undefined {
  const circumstances = { workspace, stand: true, confirmed: true, pastDeadline: false, pastWait: false, lastedMs: 0 }
  return judge(sight, { ...circumstances, ...at })?.code
}

const OVER = { pastDeadline: true, pastWait: true }

describe('judge', () => {
  it('ends every search when its time is over, with the code that tells what to do', () => {
    for (const sight of sights(here)) {
      assert.equal(answer(sight, OVER), STANDING[sight.type], sight.type)
      assert.equal(answer(sight, { ...OVER, stand: false }), ONLOOKING[sight.type], sight.type)
    }
  })

  it('B6 names a primary on another machine', () => {
    for (const sight of sights(elsewhere)) {
      assert.equal(answer(sight, OVER), REMOTE[sight.type] ?? STANDING[sight.type], sight.type)
    }
    assert.equal(answer({ type: 'starting', announcement: elsewhere }, { ...OVER, stand: false }), 'NO_PRIMARY')
  })

  it('goes on while there is time, but for what two seconds have proved (B6)', () => {
    for (const stand of [true, false]) {
      for (const sight of [...sights(here), ...sights(elsewhere)]) assert.equal(answer(sight, { stand }), undefined)
    }
    const lastedMs = UNREACHABLE_AFTER_MS
    for (const sight of sights(here)) {
      const proved = sight.type === 'unreachable' ? 'PRIMARY_UNREACHABLE' : undefined
      assert.equal(answer(sight, { lastedMs }), proved, sight.type)
      assert.equal(answer(sight, { lastedMs, stand: false }), undefined, sight.type)
    }
    for (const sight of sights(elsewhere)) assert.equal(answer(sight, { lastedMs }), REMOTE[sight.type], sight.type)
  })

  it('believes no silence before it looked twice, but for an announcement that is not there', () => {
    for (const stand of [true, false]) {
      for (const sight of sights(here)) {
        const certain = !stand && sight.type === 'nobody' && sight.reason === 'none'
        assert.equal(
          answer(sight, { ...OVER, stand, confirmed: false }),
          certain ? 'NO_PRIMARY' : undefined,
          sight.type,
        )
      }
    }
  })

  it('lets never-standers wait for somebody no longer than they said, and for a handshake to the deadline', () => {
    for (const sight of sights(here)) {
      const inHandshake = sight.type === 'serving' || sight.type === 'silent'
      assert.equal(answer(sight, { stand: false, pastWait: true }), inHandshake ? undefined : ONLOOKING[sight.type])
    }
  })
})
