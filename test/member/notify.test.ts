import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/index.ts'
import { code, joined, memory, onBoth, several } from './support.ts'

onBoth('a notification to many reaches each of them once', async (t, place) => {
  const heard: string[] = []
  const members = await several(t, place, 4, (i) => ({
    name: i < 2 ? `m${i}` : 'twin',
    methods: { hear: (what: string) => void heard.push(`${i}${what}`) },
  }))
  const expect = async (...what: string[]): Promise<void> => {
    await until(() => heard.length >= what.length, `${what.join()}, not ${heard.join()}`)
    assert.deepEqual(heard.splice(0).sort(), what)
  }
  for (const [i, from] of members.entries()) {
    await from.notify('hear', 'a', { to: 'all' })
    await expect('0a', '1a', '2a', '3a')
    await from.notify('hear', 'o', { to: 'others' })
    await expect(...['0o', '1o', '2o', '3o'].filter((what) => what !== `${i}o`))
    await from.notify('hear', 't', { to: { name: 'twin' } })
    await expect('2t', '3t')
    await from.notify('hear', 'i', { to: { ids: [members[1]!.id, members[3]!.id] } })
    await expect('1i', '3i')
    await from.notify('hear', 'p')
    await expect('0p')
    await from.notify('hear', 'x', { to: { id: members[2]!.id } })
    await expect('2x')
  }
})

describe('notify', () => {
  test('to who is not here says so, after the others have it', async (t) => {
    const heard: unknown[] = []
    const [first, second] = await several(t, memory(t), 2, () => ({
      methods: { hear: (x: unknown) => void heard.push(x) },
    }))
    const gone = 'A'.repeat(22)
    for (const from of [first!, second!]) {
      const ids = [gone, second!.id]
      await assert.rejects(
        from.notify('hear', 1, { to: { ids } }),
        code('MEMBER_NOT_FOUND', { data: { absent: [gone] } }),
      )
      await until(() => heard.splice(0).length === 1, 'the one that is here')
      await assert.rejects(from.notify('hear', 1, { to: { name: 'nobody' } }), code('MEMBER_NOT_FOUND'))
      await assert.rejects(from.notify('hear', 1, { to: { id: gone } }), code('MEMBER_NOT_FOUND'))
    }
  })

  test('what can’t be sent is refused', async (t) => {
    const member = await joined(t, memory(t))
    await assert.rejects(member.notify('x', 1n), code('INVALID_PARAMS'))
    await assert.rejects(member.notify('', 1), code('INVALID_OPTION'))
    await assert.rejects(member.notify('x', 1, { to: 'everybody' as never }), code('INVALID_OPTION'))
    await member.close()
    for (const to of ['all', 'primary'] as const) await assert.rejects(member.notify('x', 1, { to }), code('CLOSED'))
  })

  test('what the handler throws stays with it', async (t) => {
    let ran = 0
    const [first] = await several(t, memory(t), 2, () => ({
      methods: {
        hear: () => {
          ran++
          throw new Error('nobody cares')
        },
      },
    }))
    await first!.notify('hear', undefined, { to: 'all' })
    await until(() => ran === 2, 'both')
  })
})
