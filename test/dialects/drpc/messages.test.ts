import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { Status, statusName } from '../../../src/dialects/drpc/index.ts'
import {
  CallSchema,
  ResponseSchema,
  Status as GeneratedStatus,
  StatusSchema,
} from '../../../src/dialects/drpc/gen/drpc_pb.ts'
import { load } from '../../../src/dialects/drpc/protobuf.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { execute, findProgram, NODE_FLAGS, ROOT, temporaryDirectory } from '../../support/index.ts'
import { codec } from './support.ts'

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const body = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 4090, maxLength: 4200 }))
const some = <T>(arbitrary: fc.Arbitrary<T>, empty: T): fc.Arbitrary<T> => fc.oneof(arbitrary, fc.constant(empty))
const call = fc.record({ module: some(int32, 0), method: some(int32, 0), sequence: some(int64, 0n), body })
const response = fc.record({ sequence: some(int64, 0n), status: some(int32, 0), body })
const joined = ({ head, body: rest }: { head: Uint8Array; body: Uint8Array }): Buffer => Buffer.concat([head, rest])

describe('the codec against the generated code', () => {
  test('calls: the same bytes, and back', () => {
    fc.assert(
      fc.property(call, (value) => {
        const bytes = joined(codec.encodeCall(value))
        assert.ok(bytes.equals(toBinary(CallSchema, create(CallSchema, value))))
        const read = codec.decodeCall(bytes)
        assert.deepEqual({ ...read, body: Buffer.from(read.body) }, { ...value, body: Buffer.from(value.body) })
      }),
    )
  })

  test('answers: the same bytes, and back', () => {
    fc.assert(
      fc.property(response, (value) => {
        const bytes = joined(codec.encodeResponse(value))
        assert.ok(bytes.equals(toBinary(ResponseSchema, create(ResponseSchema, value as object))))
        const read = codec.decodeResponse(bytes)
        assert.deepEqual({ ...read, body: Buffer.from(read.body) }, { ...value, body: Buffer.from(value.body) })
      }),
    )
  })

  test('unknown fields and repeated ones: as it reads them', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 3 }), fc.uint8Array({ maxLength: 20 }), (calls, unknown) => {
        const extra = Buffer.concat([Buffer.from([0x3a, unknown.length]), unknown, Buffer.from([0x80, 0x7d, 0x05])])
        const bytes = Buffer.concat([extra, ...calls.map((value) => joined(codec.encodeCall(value))), extra])
        const { module, method, sequence, body: read } = codec.decodeCall(bytes)
        const expected = fromBinary(CallSchema, bytes)
        assert.deepEqual([module, method, sequence], [expected.module, expected.method, expected.sequence])
        assert.ok(Buffer.from(read).equals(expected.body))
      }),
    )
  })

  test('a known field of another form is skipped like an unknown one', () => {
    const read = codec.decodeCall(Buffer.from('0a0105' + '2001' + '082a' + '22026869', 'hex'))
    assert.deepEqual([read.module, Buffer.from(read.body).toString()], [42, 'hi'])
  })

  test('fuzz: any bytes are a message or PROTOCOL', () => {
    const near = fc.tuple(call, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = joined(codec.encodeCall(value))
      if (bytes.length > 0) bytes[at % bytes.length] = byte
      return new Uint8Array(bytes)
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), near), (bytes) => {
        for (const decode of [() => codec.decodeCall(bytes), () => codec.decodeResponse(bytes)]) {
          try {
            assert.ok(decode().body.length <= bytes.length)
          } catch (error) {
            assert.ok(ConclaveError.is(error, 'PROTOCOL'), String(error))
          }
        }
      }),
      { numRuns: 5000 },
    )
  })

  test('a million nested groups are PROTOCOL, no overflow of the stack', () => {
    assert.throws(
      () => codec.decodeCall(new Uint8Array(1_000_000).fill(0x3b)),
      (error) => ConclaveError.is(error, 'PROTOCOL'),
    )
  })

  test('numbers that are no int32 are refused', () => {
    for (const wrong of [2 ** 31, 0.5, Number.NaN]) {
      for (const field of ['module', 'method']) {
        const value = { module: 1, method: 1, sequence: 1n, body: new Uint8Array(0), [field]: wrong }
        assert.throws(
          () => codec.encodeCall(value),
          (error) => ConclaveError.is(error, 'INVALID_OPTION'),
        )
      }
    }
  })
})

test('Status is the one of drpc.proto', () => {
  assert.deepEqual(Status, GeneratedStatus)
  for (const { number, name } of StatusSchema.values) assert.equal(statusName(number), name)
  assert.equal(statusName(99), 'STATUS_99')
})

test('gen/drpc_pb.ts is what `npm run proto` makes', async (t) => {
  const buf = join(ROOT, 'node_modules', '.bin', 'buf')
  if (findProgram('node') === undefined) return
  const folder = temporaryDirectory(t)
  const template = JSON.stringify({
    version: 'v2',
    plugins: [
      {
        local: [process.execPath, join(ROOT, 'node_modules', '@bufbuild', 'protoc-gen-es', 'bin', 'protoc-gen-es')],
        out: folder,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  })
  const args = [buf, 'generate', 'src/dialects/drpc', '--template', template]
  const { code, stderr } = await execute(t, process.execPath, args, { env: { HOME: folder } })
  assert.equal(code, 0, stderr)
  const read = (path: string): string => readFileSync(path, 'utf8')
  assert.equal(read(join(ROOT, 'src', 'dialects', 'drpc', 'gen', 'drpc_pb.ts')), read(join(folder, 'drpc_pb.ts')))
})

test('without @bufbuild/protobuf there is one good error, and conclave/drpc can still be imported', async (t) => {
  await assert.rejects(
    load(() => Promise.reject(new Error('Cannot find package'))),
    (error) => ConclaveError.is(error, 'UNSUPPORTED') && error.message.includes('npm install @bufbuild/protobuf'),
  )
  const hide = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (name.startsWith('@bufbuild/')) throw Object.assign(new Error('hidden'), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(name, context)
    } })
    const { ClientConnection, DomainSocketServer, Status } = await import('conclave/drpc')
    const errors = [new ClientConnection('x').connect(), new DomainSocketServer({ path: 'x' }).start()]
    for (const outcome of await Promise.allSettled(errors)) console.log(outcome.reason.code, Status.SUCCESS)`
  const args = [...NODE_FLAGS, '--input-type=module', '-e', hide]
  const { code, stdout, stderr } = await execute(t, process.execPath, args)
  assert.equal(code, 0, stderr)
  assert.equal(stdout, 'UNSUPPORTED 0\nUNSUPPORTED 0\n')
})
