import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, mock, type TestContext } from 'node:test'
import {
  announcementPath,
  endpointPath,
  MAX_TERM,
  newEndpointPath,
  newInstance,
  openWorkspace,
  readAnnouncement,
  readPrimary,
  readTerm,
  takeSeat,
  TERM_JUMP,
  termPath,
  type Announcement,
  type Seat,
  type Workspace,
} from '../../src/election/index.ts'
import { writeAnnouncement } from '../../src/election/announcement.ts'
import type { MemoryProcess } from '../../src/platform/index.ts'
import { code, folder, machine, memoryWorkspace, posix, sit, systemError, withFaults } from './support.ts'

function announced(workspace: Workspace): Announcement {
  const record = readAnnouncement(workspace)
  assert(record.type === 'announcement', record.type)
  return record.announcement
}

/** A seat that serves at a socket in memory. */
function serve(platform: MemoryProcess = machine().process()): { seat: Seat; workspace: Workspace } {
  const workspace = memoryWorkspace(platform)
  const seat = sit(workspace)
  platform.bind(seat.endpointPath, {})
  seat.announce()
  return { seat, workspace }
}

describe('takeSeat', () => {
  it('B7 raises the term, then announces itself as starting, with the name of its socket', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace, { name: 'editor' })
    assert.equal(seat.term, 1)
    assert.deepEqual(readTerm(workspace), { type: 'term', term: 1, boot: workspace.platform.bootId })
    const announcement = announced(workspace)
    assert.deepEqual(announcement, seat.announcement)
    assert.equal(announcement.state, 'starting')
    assert.equal(announcement.name, 'editor')
    assert.equal(announcement.pid, process.pid)
    assert.equal(announcement.lock, seat.identity)
    assert.equal(announcement.lock, workspace.identity())
    assert.equal(endpointPath(announcement.endpoint), seat.endpointPath)
  })

  it('B8 waits for no fsync before it serves, and begins one then', async () => {
    const calls: string[] = []
    const real = machine().process()
    const platform = withFaults(real, {
      replaceFile: (path, content) => {
        calls.push(path.endsWith('primary.json') ? (JSON.parse(content) as Announcement).state : 'term')
        real.replaceFile(path, content)
      },
      syncFile: (path) => {
        calls.push(`sync ${path}`)
        return real.syncFile(path)
      },
    })
    const workspace = memoryWorkspace(platform)
    calls.length = 0
    const seat = sit(workspace)
    assert.deepEqual(calls, ['term', 'starting'])
    seat.announce()
    assert.deepEqual(calls, ['term', 'starting', 'serving', `sync ${termPath(workspace)}`])
    assert.equal(await seat.synced, undefined)
    seat.announce()
    assert.equal(calls.filter((call) => call.startsWith('sync')).length, 1, 'a term is synced once')
  })

  it('B8 reports a failed fsync and does not fail by it', async () => {
    const failure = systemError('EIO')
    const workspace = memoryWorkspace(withFaults(machine().process(), { syncFile: () => Promise.reject(failure) }))
    const seat = sit(workspace)
    seat.announce()
    assert.equal(await seat.synced, failure)
    assert(seat.check())
  })

  it('P1 raises the term above every record: file, announcement, database', () => {
    const workspace = memoryWorkspace()
    sit(workspace).release()
    assert.equal(sit(workspace, { records: [40, 12] }).term, 41)
  })

  it('B8 raises it above a database that is opened later, before it serves', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace)
    seat.raiseAbove(0)
    assert.equal(seat.term, 1)
    seat.raiseAbove(700)
    assert.equal(seat.term, 701)
    assert.equal(announced(workspace).term, 701)
    assert.equal(announced(workspace).state, 'starting')
    seat.announce()
    assert.throws(() => seat.raiseAbove(900), code('INTERNAL'))
    seat.release()
    assert.equal(sit(workspace).term, 702)
  })

  it('B8 jumps when the term file is damaged, missing beside an announcement, or of another boot', () => {
    for (const harm of [
      (workspace: Workspace) => workspace.platform.replaceFile(termPath(workspace), '{"term":3'),
      (workspace: Workspace) => workspace.platform.remove(termPath(workspace)),
    ]) {
      const one = machine()
      const dead = one.process()
      const workspace = memoryWorkspace(dead)
      assert.equal(sit(workspace, { records: [4] }).term, 5 + TERM_JUMP, 'a record and no file')
      dead.kill()
      const next = memoryWorkspace(one.process())
      harm(next)
      assert.equal(sit(next).term, 6 + 2 * TERM_JUMP)
    }
    const one = machine()
    sit(memoryWorkspace(one.process())).release()
    const rebooted = withFaults(one.process(), { bootId: 'another' })
    assert.equal(sit(memoryWorkspace(rebooted)).term, 2 + TERM_JUMP)
  })

  it('A1 goes on above the old term when only the lock file was replaced', () => {
    const one = machine()
    const platform = one.process()
    const workspace = memoryWorkspace(platform)
    const deposed = sit(workspace, { records: [6] })
    one.erase(workspace.lockPath)
    one.erase(termPath(workspace))
    const seat = sit(memoryWorkspace(one.process()))
    assert(seat.term > deposed.term)
    assert.equal(deposed.check(), false)
    assert.equal(seat.check(), true)
  })

  it('B4 takes a term out of range as damage', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace)
    seat.release()
    for (const term of [2 ** 53, 2 ** 48, MAX_TERM + 1]) {
      workspace.platform.replaceFile(announcementPath(workspace), JSON.stringify({ ...seat.announcement, term }))
      workspace.platform.replaceFile(termPath(workspace), JSON.stringify({ term, check: '0' }))
      const next = sit(workspace)
      assert(next.term >= TERM_JUMP && next.term <= 1 + TERM_JUMP, String(next.term))
      next.release()
    }
  })

  it('B5 unlinks the socket of the announcement it replaces, and no other', () => {
    const one = machine()
    const dead = one.process()
    const { seat } = serve(dead)
    const stranger = newEndpointPath(dead)
    dead.bind(stranger, {})
    dead.kill()
    const platform = one.process()
    sit(memoryWorkspace(platform))
    assert.equal(platform.stat(seat.endpointPath), undefined)
    assert.notEqual(platform.stat(stranger), undefined)
  })

  it('B5 unlinks the socket of a candidate that died before it served', () => {
    const one = machine()
    const dead = one.process()
    const seat = sit(memoryWorkspace(dead))
    dead.bind(seat.endpointPath, {})
    dead.kill()
    const platform = one.process()
    sit(memoryWorkspace(platform))
    assert.equal(platform.stat(seat.endpointPath), undefined)
  })

  it('B4 B5 never unlinks the socket that a copied announcement names', () => {
    const one = machine()
    const { seat } = serve(one.process())
    const platform = one.process()
    platform.makeDirectory('/copy', 0o755)
    const copy = openWorkspace(platform, '/copy', { create: true })
    writeAnnouncement(copy, seat.announcement)
    const inCopy = sit(copy)
    assert.notEqual(platform.stat(seat.endpointPath), undefined, 'it still serves the original')
    assert(inCopy.term > seat.term, 'but its term counts')
  })

  it('refuses a name that would break a terminal, and a lock that is lost', () => {
    const one = machine()
    const workspace = memoryWorkspace(one.process())
    const lock = workspace.platform.tryLock(workspace.lockPath)
    assert(lock !== undefined)
    const options = { instance: newInstance(), name: 'a', protocol: [1, 1] as const }
    assert.throws(() => takeSeat(workspace, lock, { ...options, name: '\u001b[2J' }), code('INVALID_OPTION'))
    assert.throws(() => takeSeat(workspace, lock, { ...options, name: 'x'.repeat(257) }), code('INVALID_OPTION'))
    one.erase(workspace.lockPath)
    assert.throws(() => takeSeat(workspace, lock, options), code('LOCK_LOST'))
    assert.deepEqual(readAnnouncement(workspace), { type: 'absent' })
  })
})

describe('Seat', () => {
  it('A1 knows that its lock was deleted, replaced or moved away', (t) => {
    const platform = posix(t)
    const harms: Record<string, (at: string) => void> = {
      'rm -rf .conclave': (at) => rmSync(join(at, '.conclave'), { recursive: true }),
      'rm lock': (at) => rmSync(join(at, '.conclave', 'lock')),
      'mv of the folder': (at) => {
        renameSync(at, `${at}-moved`)
        t.after(() => rmSync(`${at}-moved`, { recursive: true }))
      },
      'mv of .conclave': (at) => renameSync(join(at, '.conclave'), join(at, 'elsewhere')),
      'another lock file': (at) => {
        writeFileSync(join(at, '.conclave', 'new'), '')
        renameSync(join(at, '.conclave', 'new'), join(at, '.conclave', 'lock'))
      },
      'another .conclave': (at) => {
        rmSync(join(at, '.conclave'), { recursive: true })
        mkdirSync(join(at, '.conclave'), { mode: 0o700 })
        writeFileSync(join(at, '.conclave', 'lock'), '', { mode: 0o600 })
      },
    }
    for (const [what, harm] of Object.entries(harms)) {
      const at = folder(t)
      const seat = sit(openWorkspace(platform, at, { create: true }))
      assert(seat.check(), what)
      harm(at)
      assert.equal(seat.check(), false, what)
      assert.throws(() => seat.announce(), code('LOCK_LOST', /deleted, moved or replaced/), what)
      seat.closing()
      seat.release()
    }
  })

  it('A1 touches nothing of the successor when its lock is lost', () => {
    const one = machine()
    const { seat } = serve(one.process())
    const platform = one.process()
    one.erase('/project/.conclave')
    const successor = sit(memoryWorkspace(platform))
    seat.closing()
    seat.release()
    assert.deepEqual(announced(successor.workspace), successor.announcement)
    assert(successor.check())
  })

  it('C11 in a forked copy touches neither lock nor socket nor announcement', () => {
    const one = machine()
    const platform = one.process()
    const workspace = memoryWorkspace(platform)
    const lock = platform.tryLock(workspace.lockPath)
    assert(lock !== undefined)
    let pid = 100
    const seat = takeSeat(workspace, lock, { instance: newInstance(), name: 'a', protocol: [1, 1], pid: () => pid })
    platform.bind(seat.endpointPath, {})
    seat.announce()
    pid = 101
    assert.equal(seat.check(), false)
    assert.throws(() => seat.announce(), code('LOCK_LOST', /forked/))
    seat.closing()
    seat.release()
    assert.equal(announced(workspace).state, 'serving')
    assert.notEqual(platform.stat(seat.endpointPath), undefined)
    assert.equal(one.process().tryLock(workspace.lockPath), undefined, 'the parent holds it')
    assert(lock.stillOurs())
  })

  it('says starting, serving, closing, and nobody after an orderly release', () => {
    const platform = machine().process()
    const workspace = memoryWorkspace(platform)
    const seat = sit(workspace)
    const state = (): string => readPrimary(workspace).state
    assert.deepEqual([seat.state, state()], ['starting', 'starting'])
    platform.bind(seat.endpointPath, {})
    seat.announce()
    assert.deepEqual([seat.state, state()], ['serving', 'serving'])
    seat.closing()
    seat.closing()
    assert.deepEqual([seat.state, state()], ['closing', 'closing'])
    assert.throws(() => seat.announce(), code('INTERNAL', /closing/))
    seat.release()
    seat.release()
    assert.deepEqual([seat.state, state()], ['released', 'absent'])
    assert.equal(platform.stat(seat.endpointPath), undefined)
    assert.equal(seat.check(), false)
    assert.equal(sit(workspace).term, seat.term + 1, 'the term is remembered, and nothing was lost')
  })

  it('A13 leaves "closing" for a successor that is expected', () => {
    const one = machine()
    const { seat, workspace } = serve(one.process())
    seat.release({ successorExpected: true })
    assert.equal(readPrimary(workspace).state, 'closing')
    const successor = sit(memoryWorkspace(one.process()))
    assert.equal(successor.term, seat.term + 1)
  })

  it('A9 frees the lock even when its files cannot be changed', () => {
    const one = machine()
    const real = one.process()
    const platform = withFaults(real, {
      remove: () => {
        throw systemError('EROFS')
      },
    })
    const seat = sit(memoryWorkspace(platform))
    const warnings: unknown[] = []
    seat.watch({ onLost() {}, onEndpointVanished() {}, onWarning: (error) => warnings.push(error) })
    seat.release()
    assert.equal(warnings.length, 2, 'the socket and the announcement')
    for (const warning of warnings) assert(code('WORKSPACE_READ_ONLY', /read-only/)(warning))
    assert.notEqual(one.process().tryLock(seat.workspace.lockPath), undefined)
  })

  it('announces only endpoints of our form', () => {
    const seat = sit(memoryWorkspace())
    assert.throws(() => seat.announce('/run/docker.sock'), code('INTERNAL'))
    const other = newEndpointPath(seat.workspace.platform)
    seat.announce(other)
    assert.equal(seat.endpointPath, other)
  })
})

describe('Seat.watch', () => {
  function watched(
    t: TestContext,
  ): ReturnType<typeof serve> & { lost: string[]; vanished: () => number; warnings: unknown[] } {
    mock.timers.enable({ apis: ['setInterval'] })
    t.after(() => mock.timers.reset())
    const made = serve()
    const lost: string[] = []
    const warnings: unknown[] = []
    let vanished = 0
    made.seat.watch({
      onLost: (error) => lost.push(error.code),
      onEndpointVanished: () => vanished++,
      onWarning: (error) => warnings.push(error),
    })
    return { ...made, lost, vanished: () => vanished, warnings }
  }

  it('A1 tells once, within a second, that the lock is lost', (t) => {
    const { workspace, lost } = watched(t)
    mock.timers.tick(5000)
    assert.deepEqual(lost, [])
    workspace.platform.remove(workspace.lockPath)
    mock.timers.tick(1000)
    assert.deepEqual(lost, ['LOCK_LOST'])
    mock.timers.tick(60_000)
    assert.deepEqual(lost, ['LOCK_LOST'])
  })

  it('B6 tells within ten seconds that the socket vanished; a fresh name in the same term follows', (t) => {
    const { seat, workspace, vanished } = watched(t)
    const platform = workspace.platform as MemoryProcess
    mock.timers.tick(20_000)
    assert.equal(vanished(), 0)
    platform.remove(seat.endpointPath)
    mock.timers.tick(10_000)
    assert.equal(vanished(), 1)
    const [before, term] = [seat.endpointPath, seat.term]
    const path = seat.renewEndpoint()
    assert.notEqual(path, before)
    assert.equal(endpointPath(announced(workspace).endpoint), before, 'not announced before it is bound')
    platform.bind(path, {})
    seat.announce()
    assert.deepEqual([endpointPath(announced(workspace).endpoint), announced(workspace).term], [path, term])
    mock.timers.tick(60_000)
    assert.equal(vanished(), 1)
  })

  it('B6 announces a fresh name again when that failed the first time', (t) => {
    const { seat, workspace, vanished } = watched(t)
    const platform = workspace.platform as MemoryProcess
    platform.remove(seat.endpointPath)
    mock.timers.tick(10_000)
    assert.equal(vanished(), 1)
    // Bound, and then the disk was full.
    platform.bind(seat.renewEndpoint(), {})
    mock.timers.tick(10_000)
    assert.deepEqual(announced(workspace), seat.announcement)
    assert.equal(vanished(), 1)
  })

  it('B4 restores an announcement that was deleted or damaged under its lock', (t) => {
    const { seat, workspace } = watched(t)
    workspace.platform.remove(announcementPath(workspace))
    mock.timers.tick(10_000)
    assert.deepEqual(announced(workspace), seat.announcement)
    workspace.platform.replaceFile(announcementPath(workspace), 'x')
    mock.timers.tick(10_000)
    assert.deepEqual(announced(workspace), seat.announcement)
  })

  it('stops with the release, and is begun once', (t) => {
    const { seat, workspace, lost, vanished } = watched(t)
    const on = { onLost: () => {}, onEndpointVanished: () => {} }
    assert.throws(() => seat.watch(on), code('INTERNAL'))
    seat.release()
    workspace.platform.remove(workspace.lockPath)
    mock.timers.tick(60_000)
    assert.deepEqual([lost, vanished()], [[], 0])
    assert.throws(() => seat.watch(on), code('INTERNAL'))
  })
})

describe('a seat that never served', () => {
  it('A7 puts back what it replaced, and the next one follows the term that was served', () => {
    const platform = machine().process()
    const { seat, workspace } = serve(platform)
    seat.release({ successorExpected: true })
    const left = announced(workspace)
    assert.deepEqual([left.state, left.term, left.follows], ['closing', 1, undefined])
    const failed = sit(workspace)
    assert.deepEqual([failed.term, failed.follows, failed.succeeds], [2, 1, true])
    failed.release()
    assert.deepEqual(announced(workspace), left)
    const next = sit(workspace)
    assert.deepEqual([next.term, next.follows], [3, 1])
    // As after a crash: nothing was put back.
    writeAnnouncement(workspace, next.announcement)
    next.release()
    assert.equal(sit(workspace).follows, 1)
  })

  it('leaves nothing where there was nothing', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace)
    assert.deepEqual([seat.follows, seat.succeeds], [0, false])
    seat.release()
    assert.equal(readAnnouncement(workspace).type, 'absent')
  })
})
