import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { posixPlatform } from '../../src/platform/index.ts'
import { unixTransport, type Connection } from '../../src/transport/index.ts'
import { ROOT, temporaryDirectory } from '../support/index.ts'

test('F7 both sides of a connection know who the kernel says is on the other', async (t) => {
  const transport = unixTransport(posixPlatform())
  const path = join(temporaryDirectory(t), 's')
  let accept!: (connection: Connection) => void
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve
  })
  const listener = transport.listen(path, { backlog: 1, onConnection: accept, onError: () => {} })
  const ours = transport.connect(path)
  const theirs = await accepted
  for (const { peer } of [ours, theirs]) {
    assert.deepEqual([peer.uid, peer.pid], [process.geteuid?.(), process.pid])
  }
  ours.close()
  theirs.close()
  listener.close()
})

test('C12 nothing in src/ needs a private field of net.Socket', () => {
  for (const file of globSync('src/**/*.ts', { cwd: ROOT })) {
    const code = readFileSync(join(ROOT, file), 'utf8')
    assert.doesNotMatch(code, /\._handle\b|from 'node:net'/, file)
  }
})
