import { ConclaveError } from '../errors/index.ts'
import { MATCH_CACHE_REFERENCES, MATCH_CACHE_TOPICS, MAX_TOPIC_BYTES } from './limits.ts'

/*
 * Topics are tokens joined by dots. In a pattern `*` stands for one token and `>`, at the end, for one or more (NATS).
 * A wildcard in front does not match the system's own topics, which begin with `$` (MQTT), so that `>` means "all that
 * the programs publish".
 */

// A half of a surrogate pair would become U+FFFD on its way and name another topic there.
const TOPIC = /^[^\s\p{Cc}\p{Cs}*>.]+(?:\.[^\s\p{Cc}\p{Cs}*>.]+)*$/u
const UNFIT = /[\s\p{Cc}\p{Cs}]/u

/** Topics that begin with it are the system's own; a pattern has to spell it out to match them. */
const SYSTEM_PREFIX = '$'

/**
 * @param from `system` admits the reserved topics, which begin with `$`
 * @throws `INVALID_OPTION` that names the fault and the cure
 */
export function checkTopic(topic: string, from: 'user' | 'system' = 'user'): void {
  // Three bytes is the most that one UTF-16 unit takes: short topics need no counting.
  const short = typeof topic === 'string' && topic.length * 3 <= MAX_TOPIC_BYTES
  if (!short || !TOPIC.test(topic)) {
    checkTokens('topic', topic)
    if (/[*>]/.test(topic)) {
      throw invalid('topic', topic, 'has a wildcard, which only a pattern may have: publish to one topic by its name')
    }
  }
  if (from === 'user' && topic.startsWith(SYSTEM_PREFIX)) {
    throw invalid('topic', topic, 'begins with "$", which is reserved for the system: choose another first letter')
  }
}

/** @throws `INVALID_OPTION` that names the fault and the cure */
export function checkPattern(pattern: string): void {
  checkTokens('pattern', pattern)
  if (!/[*>]/.test(pattern)) return
  const tokens = pattern.split('.')
  for (const [i, token] of tokens.entries()) {
    if (token === '*' || (token === '>' && i === tokens.length - 1)) continue
    if (token === '>') throw invalid('pattern', pattern, 'has ">" before its end: use "*" for one token in the middle')
    if (/[*>]/.test(token)) {
      throw invalid('pattern', pattern, `has a wildcard inside the token ${quote(token)}: it must stand between dots`)
    }
  }
}

/** Whether a valid pattern matches a valid topic. For one pair; a `TopicMatcher` serves many patterns. */
export function topicMatches(pattern: string, topic: string): boolean {
  if (pattern === topic) return true
  const wanted = pattern.split('.')
  const tokens = topic.split('.')
  if (topic.startsWith(SYSTEM_PREFIX) && (wanted[0] === '*' || wanted[0] === '>')) return false
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return tokens.length > i
    if (i >= tokens.length || (token !== '*' && token !== tokens[i])) return false
  }
  return tokens.length === wanted.length
}

interface Node<S> {
  readonly children: Map<string, Node<S>>
  /** Subscribers whose pattern ends here, with the number of their subscription. */
  readonly here: Map<S, number>
  /** Subscribers whose pattern ends here in `>`. */
  readonly below: Map<S, number>
}

const NOBODY: readonly never[] = Object.freeze([])

/** Who subscribed to a topic, for many patterns: a trie over tokens with a bounded memory of recent answers. */
export class TopicMatcher<S> {
  readonly #root: Node<S> = newNode()
  readonly #cache = new Map<string, readonly S[]>()
  #cachedReferences = 0
  #subscriptions = 0
  #size = 0

  /** Number of (pattern, subscriber) pairs. */
  get size(): number {
    return this.#size
  }

  /** @returns false when this subscriber had this pattern already; nothing changes then */
  add(pattern: string, subscriber: S): boolean {
    checkPattern(pattern)
    let node = this.#root
    const tokens = pattern.split('.')
    const tail = tokens.at(-1) === '>'
    if (tail) tokens.pop()
    for (const token of tokens) {
      let child = node.children.get(token)
      if (child === undefined) node.children.set(token, (child = newNode()))
      node = child
    }
    const subscribers = tail ? node.below : node.here
    if (subscribers.has(subscriber)) return false
    subscribers.set(subscriber, ++this.#subscriptions)
    this.#size++
    this.#forget()
    return true
  }

  /** @returns false when there was no such pair */
  remove(pattern: string, subscriber: S): boolean {
    const tokens = pattern.split('.')
    const tail = tokens.at(-1) === '>'
    if (tail) tokens.pop()
    const path = [this.#root]
    for (const token of tokens) {
      const child = path.at(-1)?.children.get(token)
      if (child === undefined) return false
      path.push(child)
    }
    const end = path.at(-1)
    if (end === undefined || !(tail ? end.below : end.here).delete(subscriber)) return false
    // Leave no empty branches: patterns come and go for as long as the process lives.
    for (let i = tokens.length; i > 0 && isEmpty(path[i]); i--) path[i - 1]?.children.delete(tokens[i - 1] ?? '')
    this.#size--
    this.#forget()
    return true
  }

  /**
   * Each subscriber once, in the order of the subscriptions that match. A later `add` or `remove` does not change the
   * array, so it may be walked while subscribers come and go. The topic is not checked.
   */
  match(topic: string): readonly S[] {
    return this.#cache.get(topic) ?? this.#remember(topic, this.#find(topic))
  }

  #find(topic: string): readonly S[] {
    const found: [S, number][] = []
    const tokens = topic.split('.')
    collect(this.#root, tokens, 0, topic.startsWith(SYSTEM_PREFIX), found)
    if (found.length === 0) return NOBODY
    found.sort((a, b) => a[1] - b[1])
    return [...new Set(found.map(([subscriber]) => subscriber))]
  }

  #remember(topic: string, subscribers: readonly S[]): readonly S[] {
    if (this.#cachedReferences + subscribers.length > MATCH_CACHE_REFERENCES) this.#forget()
    if (subscribers.length > MATCH_CACHE_REFERENCES) return subscribers
    if (this.#cache.size >= MATCH_CACHE_TOPICS) {
      for (const [oldest, its] of this.#cache) {
        this.#cache.delete(oldest)
        this.#cachedReferences -= its.length
        break
      }
    }
    this.#cache.set(topic, subscribers)
    this.#cachedReferences += subscribers.length
    return subscribers
  }

  #forget(): void {
    if (this.#cache.size > 0) this.#cache.clear()
    this.#cachedReferences = 0
  }
}

function newNode<S>(): Node<S> {
  return { children: new Map(), here: new Map(), below: new Map() }
}

function isEmpty<S>(node: Node<S> | undefined): boolean {
  return node !== undefined && node.children.size === 0 && node.here.size === 0 && node.below.size === 0
}

/** Visits each node of the trie at most once: the way to a node says which token of the topic it stands for. */
function collect<S>(node: Node<S>, tokens: readonly string[], depth: number, system: boolean, found: [S, number][]) {
  const token = tokens[depth]
  if (token === undefined) {
    for (const entry of node.here) found.push(entry)
    return
  }
  const literal = node.children.get(token)
  if (literal !== undefined) collect(literal, tokens, depth + 1, system, found)
  if (system && depth === 0) return
  for (const entry of node.below) found.push(entry)
  const star = node.children.get('*')
  // Topics arrive checked, but a topic token "*" must not count a subscriber twice if one ever does not.
  if (star !== undefined && star !== literal) collect(star, tokens, depth + 1, system, found)
}

function checkTokens(what: 'topic' | 'pattern', text: string): void {
  if (typeof text !== 'string')
    throw new ConclaveError('INVALID_OPTION', `A ${what} must be a string, not ${typeof text}.`)
  if (text === '') throw new ConclaveError('INVALID_OPTION', `A ${what} must not be empty: give it at least one token.`)
  // Before anything that walks or prints the text: it may be megabytes long.
  if (text.length > MAX_TOPIC_BYTES || Buffer.byteLength(text) > MAX_TOPIC_BYTES) {
    throw invalid(what, text, `is longer than ${MAX_TOPIC_BYTES} bytes: put what varies into the data`)
  }
  if (UNFIT.test(text)) {
    throw invalid(what, text, 'has white space, a control character or half a character: use letters, digits, "-", "_"')
  }
  if (text.split('.').includes('')) {
    throw invalid(what, text, 'has an empty token: remove the dot at its start or end, or the doubled one')
  }
}

function invalid(what: 'topic' | 'pattern', text: string, fault: string): ConclaveError {
  return new ConclaveError('INVALID_OPTION', `The ${what} ${quote(text)} ${fault}.`)
}

function quote(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 80)}…`)
}
