import assert from 'node:assert/strict'
import { renameSync, rmSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { KIND } from '../../src/wire/frame.ts'
import { until, workspace } from '../support/index.ts'
import { FramePeer, hello, helloOf } from './frame-peer.ts'
import { own } from './support.ts'

const database = { file: 'data.db', migrations: ['CREATE TABLE note(text)'] }

test('A1: a primary whose database was moved a moment ago welcomes nobody', async (t) => {
  const folder = workspace(t)
  await own(t, folder, { database })
  const peer = new FramePeer(t, folder)
  await until(() => peer.socket.readyState === 'open', 'its connection')
  const file = path(folder, '.conclave', 'data.db')
  renameSync(file, `${file}.old`)
  peer.send(hello(helloOf(folder)))
  await peer.gone()
  assert.deepEqual(
    peer.frames.filter(({ kind }) => kind === KIND.WELCOME),
    [],
  )
})

test('A1: a primary whose lock was deleted a moment ago commits nothing: the next term does', async (t) => {
  const folder = workspace(t)
  const member = await own(t, folder, { database })
  const { term } = member
  rmSync(path(folder, '.conclave', 'lock'))
  await member.db.run("insert into note values ('kept')")
  assert.ok(member.term > term)
  assert.deepEqual({ ...member.db.read.prepare('select count(*) as n from note').get() }, { n: 1 })
})
