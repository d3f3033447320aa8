import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newEndpointPath, sweepEndpoints, SWEEP_AGE_MS } from '../../src/election/index.ts'
import type { MemoryProcess } from '../../src/platform/index.ts'
import { machine } from './support.ts'

function bound(platform: MemoryProcess): string {
  const path = newEndpointPath(platform)
  platform.bind(path, {})
  return path
}

/** A sweep a day and an hour later. */
function later(options: { refuses: (path: string) => boolean; pause?: () => Promise<void> }) {
  return { wallClock: () => Date.now() + SWEEP_AGE_MS + 3_600_000, pause: async () => {}, ...options }
}

describe('B5 sweepEndpoints', () => {
  it('removes what is old, ours and refuses twice', async () => {
    const platform = machine().process()
    const [dead, alive] = [bound(platform), bound(platform)]
    const asked: string[] = []
    const refuses = (path: string): boolean => {
      asked.push(path)
      return path === dead
    }
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses })), [dead])
    assert.equal(platform.stat(dead), undefined)
    assert.notEqual(platform.stat(alive), undefined)
    assert.equal(asked.filter((path) => path === dead).length, 2)
  })

  it('leaves alone what is young, without asking', async () => {
    const platform = machine().process()
    const young = bound(platform)
    let asked = 0
    assert.deepEqual(await sweepEndpoints(platform, { refuses: () => ++asked > 0, pause: async () => {} }), [])
    assert.equal(asked, 0)
    assert.notEqual(platform.stat(young), undefined)
  })

  it('leaves alone what is bound and does not listen yet', async () => {
    const platform = machine().process()
    bound(platform)
    let asked = 0
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses: () => ++asked === 1 })), [])
    assert.equal(asked, 2)
  })

  it('leaves alone what was bound anew during the pause', async () => {
    const platform = machine().process()
    const path = bound(platform)
    const pause = async (): Promise<void> => {
      platform.remove(path)
      platform.bind(path, {})
    }
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses: () => true, pause })), [])
    assert.notEqual(platform.stat(path), undefined)
  })

  it('leaves alone names and kinds that are not of our form', async () => {
    const platform = machine().process()
    const directory = platform.runtimeDirectory()
    platform.bind(`${directory}/docker.sock`, {})
    platform.replaceFile(newEndpointPath(platform), 'a file')
    let asked = 0
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses: () => ++asked > 0 })), [])
    assert.equal(asked, 0)
    assert.equal(platform.list(directory).length, 2)
  })

  it('never rejects', async () => {
    const platform = machine().process()
    bound(platform)
    const refuses = (): boolean => {
      throw new Error('no descriptors left')
    }
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses })), [])
    platform.kill()
    assert.deepEqual(await sweepEndpoints(platform, later({ refuses })), [])
  })
})
