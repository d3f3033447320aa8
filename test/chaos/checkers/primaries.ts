import { fault, type Fault } from './fault.ts'

/** What those who were primary wrote into the witness file, each by itself (test/chaos/programs/witness.ts). */
export type Testimony =
  | {
      readonly k: 'begin'
      readonly t: number
      readonly pid: number
      readonly member: string
      readonly term: number
      /** `dev:ino` of the lock file this process has open, as the kernel shows it. */
      readonly lock: string
    }
  | { readonly k: 'end'; readonly t: number; readonly pid: number; readonly member: string; readonly term: number }
  /** The claim of another process lay there, which was alive. */
  | {
      readonly k: 'clash'
      readonly t: number
      readonly pid: number
      readonly term: number
      readonly other: { readonly pid: number; readonly term: number }
    }

export interface Death {
  readonly pid: number
  /** When the signal was sent, or the order given: until then it lived. */
  readonly sent: number
  /** When its end was seen. */
  readonly seen: number
}

/** Whom a member takes for the primary at the end of a round, after a call that this one answered. */
export interface View {
  readonly name: string
  readonly asked: number
  readonly answered: number
  readonly pid: number
  readonly member: string
  readonly term: number
}

export interface Primaries {
  readonly testimony: readonly Testimony[]
  readonly deaths: readonly Death[]
  readonly views: readonly View[]
  /** When somebody deleted, replaced or moved the lock: before it was done, and after. */
  readonly removals: readonly { readonly before: number; readonly after: number; readonly wholeDirectory: boolean }[]
  readonly joins: readonly {
    readonly name: string
    readonly since: number
    readonly member: string
    readonly term: number
  }[]
}

interface Reign {
  readonly pid: number
  readonly member: string
  readonly term: number
  readonly lock: string
  readonly begin: number
  /** It was primary at least until then ... */
  readonly least: number
  /** ... and at most until then; Infinity while it is. */
  readonly most: number
}

/** One primary at a time, terms that rise, and everybody agrees. */
export function checkPrimaries(round: Primaries): Fault[] {
  const reigns = reignsOf(round)
  const name = ({ pid, term }: { pid: number; term: number }): string => `pid ${pid} in term ${term}`
  const faults: Fault[] = []
  const removedBefore = (t: number): boolean => round.removals.some(({ before }) => before <= t)
  const wholeRemovedBefore = (t: number): boolean =>
    round.removals.some(({ before, wholeDirectory }) => wholeDirectory && before <= t)
  for (const [i, a] of reigns.entries()) {
    for (const b of reigns.slice(i + 1)) {
      // A holder whose lock was taken away has a moment to find out; the locks of the two differ then.
      const deposed = a.lock !== b.lock && removedBefore(b.begin)
      if (a.least > b.begin && !deposed) {
        faults.push(fault('two-primaries', `${name(b)} began ${a.least - b.begin} us before ${name(a)} ended`))
      }
      // With the whole directory every record of terms is gone. One whose lock went as it began has served nobody.
      const anew = wholeRemovedBefore(b.begin) || (deposed && a.most > b.begin)
      if (b.term <= a.term && !anew) {
        faults.push(fault('term', `${name(b)} came after ${name(a)}`))
      }
    }
  }
  for (const line of round.testimony) {
    if (line.k !== 'clash') continue
    const own = reigns.find(({ pid, term }) => pid === line.pid && term === line.term)
    const other = reigns.find(({ pid, term }) => pid === line.other.pid && term === line.other.term)
    if (own !== undefined && other !== undefined && own.lock !== other.lock && removedBefore(line.t)) continue
    faults.push(fault('two-primaries', `${name(line)} found the claim of ${name(line.other)}, which was alive`))
  }
  return [...faults, ...checkViews(round, reigns), ...checkJoins(round, reigns)]
}

function checkViews({ views }: Primaries, reigns: readonly Reign[]): Fault[] {
  const faults: Fault[] = []
  for (const view of views) {
    const { name, pid, term } = view
    const own = reigns.filter((reign) => reign.pid === pid && reign.term === term && reign.member === view.member)
    if (!own.some(({ begin, most }) => begin <= view.answered && most >= view.asked)) {
      faults.push(
        fault('two-primaries', `${name} was answered by pid ${pid} in term ${term}, which was not primary then`),
      )
    }
  }
  const first = Math.min(...views.map(({ asked }) => asked))
  const last = Math.max(...views.map(({ answered }) => answered))
  const open = reigns.filter(({ begin, most }) => begin <= last && most >= first)
  if (views.length > 0 && open.length !== 1) {
    const who = open.map(({ pid, term }) => `pid ${pid} in term ${term}`).join(', ')
    faults.push(
      fault(
        open.length === 0 ? 'no-primary' : 'two-primaries',
        `when all were asked, ${open.length} were primary: ${who}`,
      ),
    )
  }
  const agreed = new Set(views.map(({ pid, member, term }) => `pid ${pid} (${member}) in term ${term}`))
  if (agreed.size > 1) faults.push(fault('two-primaries', `members disagree: ${[...agreed].join(' and ')}`))
  return faults
}

/** Whoever began to join after the lock was gone must not have been let in by its old holder (rule A1). */
function checkJoins({ joins, removals }: Primaries, reigns: readonly Reign[]): Fault[] {
  const faults: Fault[] = []
  for (const { after } of removals) {
    for (const reign of reigns) {
      const successor = reigns.find(({ lock, begin }) => lock !== reign.lock && begin > reign.begin)
      if (reign.begin > after || successor === undefined) continue
      for (const { name, since, member, term } of joins) {
        if (since <= after || term !== reign.term || member !== reign.member) continue
        faults.push(fault('two-primaries', `${name} was let in by pid ${reign.pid}, whose lock was gone`))
      }
    }
  }
  return faults
}

function reignsOf({ testimony, deaths }: Primaries): Reign[] {
  const death = new Map(deaths.map((each) => [each.pid, each]))
  const reigns: Reign[] = []
  for (const line of testimony) {
    if (line.k !== 'begin') continue
    const { pid, member, term, lock, t } = line
    const end = testimony.find(
      (other) => other.k === 'end' && other.member === member && other.term === term && other.t >= t,
    )
    const died = death.get(pid)
    reigns.push({
      pid,
      member,
      term,
      lock,
      begin: t,
      least: end?.t ?? (died === undefined ? Infinity : Math.max(died.sent, t)),
      most: end?.t ?? died?.seen ?? Infinity,
    })
  }
  return reigns.sort((a, b) => a.begin - b.begin)
}
