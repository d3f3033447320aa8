import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { endpointsForPath, portsForPath, rpcBeside } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { checkEndpoint, ipcEndpoints } from '../../../src/dialects/zeromq/ports.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { runtimeDirectory, temporaryDirectory } from '../../support/index.ts'
import { vector } from './support.ts'

const { cases } = vector<{ cases: readonly { path: string; pub_port: number; rpc_port: number }[] }>('pando-ports')

describe('the ports of a directory are those of existing programs', () => {
  for (const { path, pub_port: pubPort, rpc_port: rpcPort } of cases) {
    test(JSON.stringify(path), () => assert.deepEqual(portsForPath(path), { pubPort, rpcPort }))
  }
})

test('the sockets of a directory are in our private folder, one name for each directory, however it is written', (t) => {
  const runtime = runtimeDirectory(t)
  const one = temporaryDirectory(t)
  const other = temporaryDirectory(t)
  const { pub, rpc } = endpointsForPath(one)
  assert.ok(pub.startsWith(`ipc://${runtime}/conclave/zmq-`))
  assert.equal(rpc, pub.replace(/\.pub$/, '.rpc'))
  assert.deepEqual(endpointsForPath(join(one, '..', one.split('/').at(-1) ?? '', '.')), { pub, rpc })
  assert.notEqual(endpointsForPath(other).pub, pub)
  assert.throws(
    () => ipcEndpoints(posixPlatform(), 'x'.repeat(100)),
    (error) => ConclaveError.is(error, 'PATH_TOO_LONG'),
  )
})

test('where calls are answered follows from where events are', () => {
  assert.equal(rpcBeside('tcp://127.0.0.1:40000'), 'tcp://127.0.0.1:40001')
  assert.equal(rpcBeside('ipc:///run/x.pub'), 'ipc:///run/x.rpc')
  assert.equal(rpcBeside('ipc:///run/x'), undefined)
})

test('what is no endpoint is refused', () => {
  assert.equal(checkEndpoint('ipc:///a'), 'ipc')
  assert.equal(checkEndpoint('tcp://127.0.0.1:*'), 'tcp')
  for (const wrong of ['', 'ipc://a', 'ipc://*', 'tcp://127.0.0.1', 'inproc://x', 'udp://127.0.0.1:1']) {
    assert.throws(
      () => checkEndpoint(wrong),
      (error) => ConclaveError.is(error, 'INVALID_OPTION'),
      wrong,
    )
  }
})
