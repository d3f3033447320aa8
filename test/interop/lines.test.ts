import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { join, type Member } from 'conclave'
import { defer, execute, requireProgram, workspace } from '../support/index.ts'
import { endpointOf } from '../engine/local/lines.ts'

async function served(t: TestContext): Promise<{ member: Member; endpoint: string }> {
  const folder = workspace(t)
  const methods = {
    greet: (name: string) => `hello ${name}`,
    slow: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, 'late')),
  }
  const member = (await join(folder, { methods })) as unknown as Member
  defer(t, () => member.abort())
  return { member, endpoint: endpointOf(folder) }
}

/** What a person types in a shell: B19 is about `nc` closing its side when its input ends. */
describe('nc -NU', () => {
  const ask = (id: number, method: string, params: unknown): string =>
    `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`

  test('B19: one request, one reply, and it ends', async (t) => {
    if (!requireProgram(t, 'nc')) return
    const { endpoint } = await served(t)
    const { code, stdout } = await execute(t, 'nc', ['-NU', endpoint], { input: ask(1, 'greet', 'Ada') })
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), { jsonrpc: '2.0', id: 1, result: 'hello Ada' })
  })

  test('B19: answers that take a while come before the end', async (t) => {
    if (!requireProgram(t, 'nc')) return
    const { endpoint } = await served(t)
    const input = ask(1, 'slow', 300) + ask(2, 'greet', 'Bo') + ask(3, 'conclave.status', undefined)
    const { stdout } = await execute(t, 'nc', ['-NU', endpoint], { input })
    const ids = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: number }).id)
    assert.equal(ids.at(-1), 1)
    assert.deepEqual(ids.sort(), [1, 2, 3])
  })
})

/** Ten lines of another language, its standard library only. */
const PYTHON = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); lines = s.makefile('rw', encoding='utf-8', newline='\\n')
def call(id, method, params):
    print(json.dumps({'jsonrpc': '2.0', 'id': id, 'method': method, 'params': params}), file=lines, flush=True)
    return next(m['result'] for m in map(json.loads, lines) if m.get('id') == id)
print(call(1, 'greet', 'Ädä €'))
print(call('s', 'conclave.subscribe', {'pattern': 'from.*'})['subscription'])
print(call(2, 'conclave.publish', {'topic': 'to.node', 'data': [1, None, True]})['seq'] > 0)
print(next(m['params'] for m in map(json.loads, lines) if m.get('method') == 'conclave.event')['data'])
`

describe('Python', () => {
  test('calls, subscribes and publishes', async (t) => {
    if (!requireProgram(t, 'python3')) return
    const { member, endpoint } = await served(t)
    const events = member.subscribe('to.*')
    await events.ready
    const done = execute(t, 'python3', ['-c', PYTHON, endpoint], {
      env: { PYTHONIOENCODING: 'utf-8', PYTHONUTF8: '1' },
    })
    const { data, publisher } = (await events.next()).value!
    assert.deepEqual([data, publisher.name], [[1, null, true], 'json-lines'])
    await member.publish('from.node', { deep: ['x'] })
    const { code, stdout, stderr } = await done
    assert.equal(code, 0, stderr)
    assert.deepEqual(stdout.trim().split('\n'), ['hello Ädä €', '1', 'True', "{'deep': ['x']}"])
  })
})
