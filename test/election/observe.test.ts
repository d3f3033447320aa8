import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { announcementPath, openWorkspace, readPrimary } from '../../src/election/index.ts'
import { writeAnnouncement } from '../../src/election/announcement.ts'
import { code, folder, machine, memoryWorkspace, posix, sit, withFaults } from './support.ts'

describe('readPrimary', () => {
  it('B7 tells starting, serving and closing apart without touching the lock', () => {
    const one = machine()
    const platform = one.process()
    const seat = sit(memoryWorkspace(platform))
    const onlooker = memoryWorkspace(
      withFaults(one.process(), { tryLock: () => assert.fail('touched the lock') }),
      false,
    )
    const seen = (): readonly unknown[] => {
      const sight = readPrimary(onlooker)
      return sight.state === 'absent'
        ? [sight.state, sight.reason]
        : [sight.state, sight.announcement.instance, sight.endpoint]
    }
    const { instance } = seat.announcement
    assert.deepEqual(seen(), ['starting', instance, 'absent'])
    platform.bind(seat.endpointPath, {})
    seat.announce()
    assert.deepEqual(seen(), ['serving', instance, 'present'])
    platform.remove(seat.endpointPath)
    assert.deepEqual(seen(), ['serving', instance, 'absent'])
    seat.closing()
    assert.deepEqual(seen(), ['closing', instance, 'absent'])
    seat.release()
    assert.deepEqual(seen(), ['absent', 'none'])
    one.erase('/project/.conclave')
    assert.deepEqual(seen(), ['absent', 'none'])
  })

  it('B4 sees nobody in a copy made by cp -r, with or without the socket reachable', async (t) => {
    const at = folder(t)
    const platform = posix(t)
    const workspace = openWorkspace(platform, join(at), { create: true })
    const seat = sit(workspace)
    const server = createServer()
    t.after(() => server.close())
    await new Promise<void>((resolve) => server.listen(seat.endpointPath, resolve))
    seat.announce()
    assert.equal(readPrimary(workspace).state, 'serving')
    const copy = folder(t)
    execFileSync('cp', ['-r', join(at, '.conclave'), copy])
    const copied = openWorkspace(platform, copy, { create: false })
    assert.deepEqual(readPrimary(copied), { state: 'absent', reason: 'other-lock' })
    rmSync(copied.lockPath)
    assert.deepEqual(readPrimary(copied), { state: 'absent', reason: 'other-lock' })
    seat.release()
  })

  it('B4 says why an announcement counts as absent', () => {
    const platform = machine().process()
    const workspace = memoryWorkspace(platform)
    const seat = sit(workspace)
    writeAnnouncement(workspace, { ...seat.announcement, endpoint: 'memory:/tmp/AbCdEfGhIjKlMn_-.sock' })
    assert.deepEqual(
      readPrimary(workspace),
      { state: 'absent', reason: 'untrusted-endpoint' },
      '/tmp is open to others',
    )
    writeAnnouncement(workspace, {
      ...seat.announcement,
      endpoint: seat.announcement.endpoint.replace('memory', 'unix'),
    })
    assert.deepEqual(readPrimary(workspace), { state: 'absent', reason: 'untrusted-endpoint' })
    platform.replaceFile(announcementPath(workspace), '{')
    assert.deepEqual(readPrimary(workspace), { state: 'absent', reason: 'damaged' })
  })

  it('B4 refuses a .conclave that became unsafe', (t) => {
    const at = folder(t)
    const workspace = openWorkspace(posix(t), at, { create: false })
    writeFileSync(join(at, '.conclave'), '')
    assert.throws(() => readPrimary(workspace), code('UNSAFE_WORKSPACE'))
  })
})
