import { parseHello, parseWelcome, negotiate } from '../../src/wire/handshake.ts'
import { utf8 } from './corpus.ts'
import { fuzz, typed } from './mutate.ts'

const hello = {
  protocol: [1, 1],
  workspace: '66:1234',
  id: 'B'.repeat(22),
  name: 'editor',
  pid: 7,
  term: 3,
  version: 0,
  minVersion: 0,
  stands: true,
  database: false,
}
const welcome = {
  protocol: 1,
  term: 3,
  slot: 2,
  primary: { id: 'C'.repeat(22), name: 'first', pid: 8 },
  version: 0,
  lastPublish: 4,
  limits: { maxBodyBytes: 1048576 },
}

fuzz('HELLO', [utf8(JSON.stringify(hello))], (bytes) =>
  typed(() => negotiate([1, 1], parseHello(Buffer.from(bytes).toString()).protocol)),
)

fuzz('WELCOME', [utf8(JSON.stringify(welcome))], (bytes) => typed(() => parseWelcome(Buffer.from(bytes).toString())))
