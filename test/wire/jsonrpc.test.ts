import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { encodeLine } from '../../src/wire/lines.ts'
import {
  MAX_BATCH_MESSAGES,
  parseRpcLine,
  RpcBatchAnswers,
  rpcFailure,
  rpcNotificationLine,
  rpcResult,
  rpcResultLine,
  type RpcResponse,
} from '../../src/wire/jsonrpc.ts'

/** Kind, id and JSON-RPC number of what a line comes to. */
function seen(text: string): unknown {
  const brief = (message: ReturnType<typeof parseRpcLine>): unknown => {
    if (message.kind === 'batch') return message.messages.map(brief)
    if (message.kind !== 'invalid') return message
    const answer = rpcFailure(message.id, message.error)
    return 'error' in answer ? [answer.id, answer.error.code] : answer
  }
  return brief(parseRpcLine(text))
}

describe('parseRpcLine', () => {
  it('reads the examples of the specification', () => {
    assert.deepEqual(seen('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}'), {
      kind: 'request',
      id: 1,
      method: 'subtract',
      params: [42, 23],
    })
    assert.deepEqual(seen('{"jsonrpc": "2.0", "method": "foobar"}'), {
      kind: 'notification',
      method: 'foobar',
      params: undefined,
    })
    assert.deepEqual(seen('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'), [null, -32700])
    assert.deepEqual(seen('{"jsonrpc": "2.0", "method": 1, "params": "bar"}'), [null, -32600])
    assert.deepEqual(seen('[{"jsonrpc": "2.0", "method": "sum", "id": "1"}, {"jsonrpc": "2.0", "method"'), [
      null,
      -32700,
    ])
    assert.deepEqual(seen('[]'), [null, -32600])
    assert.deepEqual(seen('[1]'), [[null, -32600]])
    assert.deepEqual(seen('[1,2,3]'), [
      [null, -32600],
      [null, -32600],
      [null, -32600],
    ])
  })

  it('takes strings, numbers and null as ids, and gives them back as they were', () => {
    for (const id of ['', 'a', '1', 0, -1, 1.5, Number.MAX_SAFE_INTEGER, null]) {
      const message = parseRpcLine(JSON.stringify({ jsonrpc: '2.0', id, method: 'm' }))
      assert.equal(message.kind, 'request')
      assert.equal('id' in message ? message.id : undefined, id)
    }
  })

  it('refuses ids that are something else, or would come back changed', () => {
    for (const id of ['true', '{}', '[]', '9007199254740993', '1e400', '-1e400']) {
      assert.deepEqual(seen(`{"jsonrpc":"2.0","method":"m","id":${id}}`), [null, -32600], id)
    }
  })

  it('refuses under its id what has one', () => {
    assert.deepEqual(seen('{"jsonrpc":"2.0","id":7}'), [7, -32600])
    assert.deepEqual(seen('{"jsonrpc":"2.0","id":7,"method":null}'), [7, -32600])
    assert.deepEqual(seen('{"jsonrpc":"1.0","id":7,"method":"m"}'), [7, -32600])
    assert.deepEqual(seen('{"id":7,"method":"m"}'), [7, -32600])
    assert.deepEqual(seen('{"jsonrpc":"2.0","id":7,"result":1,"error":{}}'), [7, -32600])
  })

  it('refuses what is no object', () => {
    for (const text of ['1', '"x"', 'null', 'true', '[[]]']) {
      assert.deepEqual([seen(text)].flat(2), [null, -32600], text)
    }
    assert.deepEqual(seen(''), [null, -32700])
  })

  it('reads answers', () => {
    assert.deepEqual(seen('{"jsonrpc":"2.0","id":1,"result":null}'), { kind: 'answer', id: 1, result: null })
    assert.deepEqual(seen('{"jsonrpc":"2.0","id":1,"error":{"code":1}}'), { kind: 'answer', id: 1, error: { code: 1 } })
  })

  it('refuses a batch whose answer would be many times its size', () => {
    const ones = (n: number): string => JSON.stringify(Array.from({ length: n }, () => 1))
    assert.equal((seen(ones(MAX_BATCH_MESSAGES)) as unknown[]).length, MAX_BATCH_MESSAGES)
    assert.deepEqual(seen(ones(MAX_BATCH_MESSAGES + 1)), [null, -32600])
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseRpcLine(text)))
    parseRpcLine('{"jsonrpc":"2.0","__proto__":{"id":1},"method":"constructor"}')
    assert.equal(parseRpcLine('{"jsonrpc":"2.0","__proto__":{"id":1},"method":"m"}').kind, 'notification')
  })
})

describe('building', () => {
  it('no params is no field, no result is null', () => {
    assert.equal(rpcNotificationLine('m'), '{"jsonrpc":"2.0","method":"m"}\n')
    assert.equal(rpcNotificationLine('m', [1]), '{"jsonrpc":"2.0","method":"m","params":[1]}\n')
    assert.deepEqual(rpcResult('a', undefined), { jsonrpc: '2.0', id: 'a', result: null })
  })

  it('puts a result that is JSON text into one line', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
        const line = rpcResultLine('x', JSON.stringify(value, undefined, indent).replaceAll('\n', '\r\n'))
        assert.equal(line.indexOf('\n'), line.length - 1)
        assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(rpcResult('x', value))))
      }),
    )
    assert.deepEqual(JSON.parse(rpcResultLine(null, '')), { jsonrpc: '2.0', id: null, result: null })
  })

  it('a failure has the number, and ours beside it', () => {
    assert.deepEqual(rpcFailure(1, new ConclaveError('METHOD_NOT_FOUND', 'No.')), {
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32601, message: 'No.', data: { code: 'METHOD_NOT_FOUND' } },
    })
  })
})

describe('RpcBatchAnswers', () => {
  const collect = (text: string): { readonly answers: RpcBatchAnswers; readonly lines: string[] } => {
    const batch = parseRpcLine(text)
    assert.ok(batch.kind === 'batch')
    const lines: string[] = []
    return { answers: new RpcBatchAnswers(batch, (line) => lines.push(line)), lines }
  }

  it('hands over one line when every request and every invalid message is answered', () => {
    const { answers, lines } = collect('[{"jsonrpc":"2.0","id":1,"method":"m"},{"jsonrpc":"2.0","method":"n"},5]')
    assert.equal(answers.due, 2)
    answers.add(encodeLine(rpcFailure(null, new ConclaveError('INVALID_REQUEST', 'No.'))))
    assert.deepEqual(lines, [])
    answers.add(encodeLine(rpcResult(1, 2)))
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as RpcResponse[]).map(({ id }) => id)),
      [[null, 1]],
    )
    assert.throws(
      () => answers.add(encodeLine(rpcResult(1, 2))),
      (error) => ConclaveError.is(error, 'INTERNAL'),
    )
  })

  it('sends nothing for a batch of notifications', () => {
    const { answers, lines } = collect('[{"jsonrpc":"2.0","method":"n"}]')
    assert.equal(answers.due, 0)
    assert.deepEqual(lines, [])
  })
})
