/**
 * The rooms of src/ and who may look into which: the one list behind the lint rule (oxlint.config.ts), the house test
 * (test/house/layers.test.ts) and the line in ARCHITECTURE.md. A room sees what stands left of a `<` before it, never
 * its neighbours behind a comma.
 */
export const ORDER =
  'errors < wire, platform < transport < election < rpc, events, sqlite < engine < member < cli, dashboard'

/** Rooms that stand beside one of the order: they see what it sees, and are seen where it is seen. */
const BESIDE: Readonly<Record<string, string>> = { observe: 'rpc' }

/** Rooms inside a room: they see what it sees and the room itself, which does not see them, as siblings do not. */
const INSIDE: Readonly<Record<string, string>> = { 'engine/local': 'engine', 'engine/nats': 'engine' }

/** Rooms with a list of their own. */
const EXACTLY: Readonly<Record<string, readonly string[]>> = {
  dialects: ['errors', 'wire', 'platform', 'transport', 'election', 'rpc'],
}

/** Besides what the order says. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  cli: ['dialects'],
  'member/bridges': ['dialects'],
}

/** Packages from elsewhere that a room may import; the core has none. `node:` modules are free but in wire/. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  dialects: [
    '@bufbuild/protobuf',
    '@bufbuild/protobuf/codegenv2',
    '@bufbuild/protobuf/wire',
    '@bufbuild/protobuf/wkt',
    'zeromq',
  ],
  sqlite: ['drizzle-orm', 'drizzle-orm/sqlite-proxy', 'kysely'],
}

/** No `node:` module, no timer, no clock. */
export const PURE: readonly string[] = ['wire']

const LEVELS: readonly (readonly string[])[] = ORDER.split(' < ').map((level) => level.split(', '))

/** Sees everything: it holds conformance suites and the in-memory workspace. */
const ALL_SEEING = 'testing'

export const ROOMS: readonly string[] = [
  ...LEVELS.flat(),
  ...Object.keys(BESIDE),
  ...Object.keys(EXACTLY),
  ...Object.keys(INSIDE),
  'member/bridges',
  ALL_SEEING,
]

/** The room of a file, by its path below src/ with forward slashes; `index` for src/index.ts; `undefined` for no room. */
export function roomOf(path: string): string | undefined {
  if (path === 'index.ts') return 'index'
  if (path.startsWith('member/bridge')) return 'member/bridges'
  const inside = Object.keys(INSIDE).find((room) => path.startsWith(`${room}/`))
  if (inside !== undefined) return inside
  const room = path.slice(0, path.indexOf('/'))
  return ROOMS.includes(room) ? room : undefined
}

/** May a file of room `from` import a file of room `to`? */
export function maySee(from: string, to: string): boolean {
  if (from === to || from === 'index') return true
  if (to === 'index') return from === ALL_SEEING || from === 'cli'
  if (from === ALL_SEEING) return true
  if (to === ALL_SEEING) return false
  if (ALSO[from]?.includes(to) === true) return true
  if (from === 'member' && to === 'member/bridges') return true
  if (from === 'member/bridges') return to === 'member' || maySee('member', to)
  const only = EXACTLY[from]
  if (only !== undefined) return only.includes(to)
  const outer = INSIDE[from]
  if (outer !== undefined) return to === outer || maySee(outer, to)
  if (to in EXACTLY || to === 'member/bridges') return false
  return levelOf(INSIDE[to] ?? to) < levelOf(from)
}

export function mayUsePackage(from: string, name: string): boolean {
  return PACKAGES[from]?.includes(name) === true
}

function levelOf(room: string): number {
  const place = BESIDE[room] ?? room
  return LEVELS.findIndex((level) => level.includes(place))
}

/** What `from` may not see, for the lint rule: regular expressions on import specifiers. */
export function forbiddenSpecifiers(from: string): readonly { readonly room: string; readonly regex: string }[] {
  return ROOMS.filter((to) => !maySee(from, to) && to !== 'member/bridges').flatMap((room) => {
    const [outer, inner] = room.split('/') as [string, string?]
    if (inner === undefined) return [{ room, regex: `^(?:\\.\\./)+(?:src/)?${room}(?:/|$)` }]
    const neighbours = from === outer || INSIDE[from] === outer
    return neighbours ? [{ room, regex: `^\\.{1,2}/(?:\\.\\./)*(?:${outer}/)?${inner}(?:/|$)` }] : []
  })
}

/** Globs of a room's files, from the repository's root. Inner rooms come after outer ones in ROOMS, so that they win. */
export function filesOf(room: string): string[] {
  return room === 'member/bridges' ? ['src/member/bridge*', 'src/member/bridges/**'] : [`src/${room}/**`]
}
