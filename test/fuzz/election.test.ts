import { parseAnnouncement } from '../../src/election/announcement.ts'
import { newInstance } from '../../src/election/instance.ts'
import { formatTerm, parseTerm } from '../../src/election/term.ts'
import { utf8 } from './corpus.ts'
import { fuzz } from './mutate.ts'

const announcement = {
  state: 'serving',
  instance: newInstance(),
  name: 'first',
  pid: 7,
  term: 3,
  started_at: '2026-11-21T03:29:23.823Z',
  endpoint: 'unix:/tmp/conclave-0/AAAAbbbbCCCCdddd.sock',
  protocol: [1, 1],
  host: 'here',
  boot: 'b0',
  lock: '66:1234',
}

fuzz('announcement: wholly of our form, or none', [utf8(JSON.stringify(announcement))], (bytes) =>
  parseAnnouncement(Buffer.from(bytes).toString()) === undefined ? 'refused' : undefined,
)

fuzz('term file: a term, or damaged', [utf8(formatTerm(7, 'b0'))], (bytes) =>
  parseTerm(Buffer.from(bytes).toString()).type === 'damaged' ? 'refused' : undefined,
)
