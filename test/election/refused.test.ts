import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { readAnnouncement, readPrimary, takeSeat, newInstance, nextTerm, readTerm } from '../../src/election/index.ts'
import { writeTerm } from '../../src/election/term.ts'
import { readText } from '../../src/election/files.ts'
import { guarded } from '../../src/election/refused.ts'
import { systemError as realError } from '../../src/platform/errors.ts'
import { code, machine, memoryWorkspace, systemError, withFaults } from './support.ts'

const fails = (errno: string) => (): never => {
  throw systemError(errno)
}

describe('guarded', () => {
  it('gives what is given, and passes on what is ours or no error of the system', () => {
    assert.equal(
      guarded('read', '/x', () => 7),
      7,
    )
    const ours = new ConclaveError('LOCK_LOST', 'gone')
    for (const error of [ours, new TypeError('a fault of ours')]) {
      const act = (): never => {
        throw error
      }
      assert.throws(
        () => guarded('write', '/x', act),
        (thrown) => thrown === error,
      )
    }
  })

  it('names path, reason and cure; a place that cannot be written is told from one that cannot be read', () => {
    for (const errno of ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']) {
      assert.throws(
        () => guarded('write', '/x', fails(errno)),
        code('WORKSPACE_READ_ONLY', /^\/x cannot be written: .{5}/),
      )
      assert.throws(() => guarded('read', '/x', fails(errno)), code('INTERNAL', new RegExp(errno)))
    }
    for (const errno of ['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EXDEV']) {
      for (const to of ['read', 'write'] as const) {
        assert.throws(
          () => guarded(to, '/x', fails(errno)),
          code('INTERNAL', new RegExp(`^/x cannot be used .${errno}.: .{10}`)),
        )
      }
    }
  })

  it('knows errors that libuv has no name for', () => {
    assert.equal(
      realError(-37, 'lock', '/x').code,
      process.platform === 'linux' ? 'ENOLCK' : realError(-37, 'lock', '/x').code,
    )
    const strange = Object.assign(new Error('?'), { code: 'Unknown system error -999', syscall: 'lock' })
    assert.throws(
      () =>
        guarded('write', '/x', () => {
          throw strange
        }),
      (error) => ConclaveError.is(error, 'INTERNAL') && error.cause === strange,
    )
  })
})

describe('a file that cannot be looked at', () => {
  it('is not taken for a damaged one', () => {
    for (const [errno, passes] of [
      ['EMFILE', false],
      ['ENFILE', false],
      ['ENOMEM', false],
      ['EIO', false],
      ['EACCES', true],
      ['ENXIO', true],
    ] as const) {
      const platform = withFaults(machine().process(), { readFile: fails(errno) })
      if (passes) assert.deepEqual(readText(platform, '/x', 10), { type: 'damaged' })
      else assert.throws(() => readText(platform, '/x', 10), new RegExp(errno))
    }
  })

  it('keeps a candidate from the seat, and no term is forgotten', () => {
    const one = machine()
    const workspace = memoryWorkspace(one.process())
    writeTerm(workspace, 70_000)
    const seat = { instance: newInstance(), name: 'x', protocol: [1, 1] } as const
    const blind = memoryWorkspace(withFaults(one.process(), { readFile: fails('EMFILE') }))
    const lock = blind.platform.tryLock(blind.lockPath)!
    assert.throws(() => takeSeat(blind, lock, seat), code('INTERNAL', /EMFILE/))
    assert.ok(lock.stillOurs(), 'the lock is the caller’s to close')
    lock.close()
    assert.equal(nextTerm({ file: readTerm(workspace), boot: workspace.platform.bootId, records: [] }), 70_001)
  })

  it('shows onlookers nobody', () => {
    const blind = memoryWorkspace(withFaults(machine().process(), { readFile: fails('EIO') }))
    assert.deepEqual(readAnnouncement(blind), { type: 'damaged' })
    assert.equal(readPrimary(blind).state, 'absent')
  })
})
