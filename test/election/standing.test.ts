import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { standAgain, Undo } from '../../src/election/index.ts'
import { memoryWorkspace, sit } from './support.ts'

describe('A7 a candidate that fails between lock and serving', () => {
  it('stands again after 0.1 s doubling to 5 s', () => {
    const backOff = standAgain()
    assert.deepEqual(
      Array.from({ length: 8 }, () => backOff.next()),
      [100, 200, 400, 800, 1600, 3200, 5000, 5000],
    )
  })

  it('undoes in reverse order, all of it, once', () => {
    const done: string[] = []
    const undo = new Undo()
    undo.add(() => done.push('lock'))
    undo.add(() => {
      done.push('database')
      throw new Error('busy')
    })
    undo.add(() => done.push('listener'))
    assert.match(String(undo.run()), /busy/)
    assert.deepEqual(done, ['listener', 'database', 'lock'])
    assert.deepEqual(undo.run(), [])
    undo.add(() => done.push('never'))
    undo.keep()
    assert.deepEqual(undo.run(), [])
    assert.equal(done.length, 3)
  })

  it('leaves the seat to the next, whose term is higher', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace)
    const undo = new Undo()
    undo.add(() => seat.release())
    undo.run()
    assert(sit(workspace).term > seat.term)
  })
})
