/*
 * As much of SQLite's grammar as it takes to know where a statement begins and ends, and with which words it begins.
 */

interface Token {
  readonly kind: 'space' | 'quoted' | 'word' | 'sign'
  readonly start: number
  readonly end: number
}

const CLOSING: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`', '[': ']' }

const VARIABLE: ReadonlySet<string> = new Set(['$', '@', ':', '#'])
/** What ends the brackets of a variable. */
const TCL_END = /[)\t\n\v\f\r ]/

function* tokensOf(sql: string): Generator<Token, void, undefined> {
  let at = 0
  while (at < sql.length) {
    const start = at
    const sign = sql[at]!
    const closing = CLOSING[sign]
    if (isSpace(sign)) {
      do at++
      while (at < sql.length && isSpace(sql[at]!))
      yield { kind: 'space', start, end: at }
    } else if (sign === '-' && sql[at + 1] === '-') {
      at = endOf(sql, '\n', at + 2)
      yield { kind: 'space', start, end: at }
    } else if (sign === '/' && sql[at + 1] === '*') {
      at = endOf(sql, '*/', at + 2)
      yield { kind: 'space', start, end: at }
    } else if (closing !== undefined) {
      at = endOf(sql, closing, at + 1)
      // A doubled quote stands for itself; brackets know no such thing.
      while (closing !== ']' && sql[at] === closing) at = endOf(sql, closing, at + 1)
      yield { kind: 'quoted', start, end: at }
    } else if (VARIABLE.has(sign)) {
      at = endOfVariable(sql, at)
      yield { kind: 'quoted', start, end: at }
    } else if (isWord(sql.charCodeAt(at))) {
      do at++
      while (at < sql.length && isWord(sql.charCodeAt(at)))
      yield { kind: 'word', start, end: at }
    } else {
      at++
      yield { kind: 'sign', start, end: at }
    }
  }
}

/** `:a`, `@a`, `$a`, and Tcl's `$a::b(c)`, whose brackets hold anything but space. */
function endOfVariable(sql: string, start: number): number {
  let at = start + 1
  for (let named = false; at < sql.length; at++) {
    if (isWord(sql.charCodeAt(at))) named = true
    else if (sql[at] === '(' && named) {
      do at++
      while (at < sql.length && !TCL_END.test(sql[at]!))
      return sql[at] === ')' ? at + 1 : at
    } else if (sql[at] === ':' && sql[at + 1] === ':') at++
    else break
  }
  return at
}

/** What SQLite takes for space, a byte order mark included. */
function isSpace(sign: string): boolean {
  return sign === ' ' || sign === '\n' || sign === '\t' || sign === '\r' || sign === '\f' || sign === '\uFEFF'
}

function isWord(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 36 ||
    code > 127
  )
}

function endOf(sql: string, closing: string, from: number): number {
  const at = sql.indexOf(closing, from)
  return at < 0 ? sql.length : at + closing.length
}

/** The statements of a text, without their semicolons; those of spaces and comments alone are left out. */
export function statementsOf(sql: string): string[] {
  const statements: string[] = []
  const first: string[] = []
  let start = 0
  /** After the last semicolon: nothing yet, only END, something. */
  let since: 'nothing' | 'end' | 'something' = 'nothing'
  for (const token of tokensOf(sql)) {
    if (token.kind === 'space') continue
    if (token.kind === 'sign' && sql[token.start] === ';') {
      // The body of a trigger holds semicolons; it ends with END after one of them.
      if (!isTrigger(first) || since === 'end') {
        if (first.length > 0) statements.push(sql.slice(start, token.start))
        start = token.end
        first.length = 0
      }
      since = 'nothing'
      continue
    }
    const isEnd = token.kind === 'word' && token.end - token.start === 3 && wordAt(sql, token) === 'END'
    since = since === 'nothing' && isEnd ? 'end' : 'something'
    if (first.length < 3) first.push(wordAt(sql, token))
  }
  if (first.length > 0) statements.push(sql.slice(start))
  return statements
}

function isTrigger([verb, second, third]: readonly string[]): boolean {
  return verb === 'CREATE' && (second === 'TEMP' || second === 'TEMPORARY' ? third : second) === 'TRIGGER'
}

/** The first words and signs of a statement, words in capitals, without space and comments. */
export function wordsOf(sql: string, most: number): string[] {
  const words: string[] = []
  for (const token of tokensOf(sql)) {
    if (token.kind === 'space') continue
    words.push(wordAt(sql, token))
    if (words.length === most) break
  }
  return words
}

function wordAt(sql: string, { kind, start, end }: Token): string {
  const text = sql.slice(start, end)
  return kind === 'word' ? text.toUpperCase() : text
}
