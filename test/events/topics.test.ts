import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { MATCH_CACHE_TOPICS, MAX_TOPIC_BYTES } from '../../src/events/limits.ts'
import { checkPattern, checkTopic, topicMatches, TopicMatcher } from '../../src/events/topics.ts'

const refused = (check: () => void, fault: RegExp): void =>
  assert.throws(check, (error) => ConclaveError.is(error, 'INVALID_OPTION') && fault.test(error.message))

/** NATS's own words, as a regular expression. */
function naive(pattern: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[*>]/.test(pattern)) return false
  const source = pattern
    .split('.')
    .map((t) => (t === '*' ? '[^.]+' : t === '>' ? '.+' : t.replace(/[$^()[\]{}+?|\\/-]/g, '\\$&')))
    .join('\\.')
  return new RegExp(`^${source}$`).test(topic)
}

const word = fc.constantFrom('a', 'b', '$a', 'constructor', '__proto__', 'toString', 'é')
const topics = fc.array(word, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'))
const patterns = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('*')), { maxLength: 4 }), fc.boolean())
  .map(([tokens, tail]) => [...tokens, ...(tail || tokens.length === 0 ? ['>'] : [])].join('.'))

describe('checkTopic', () => {
  it('accepts dotted tokens of any script', () => {
    for (const topic of [
      'a',
      'session.update',
      'a.b.c',
      'constructor',
      '__proto__',
      'größe.世界',
      'a$',
      'a.$b',
      '🙂',
      '-_/:@',
    ]) {
      checkTopic(topic)
    }
    checkTopic('x'.repeat(MAX_TOPIC_BYTES))
  })

  it('names the fault', () => {
    refused(() => checkTopic(''), /empty/)
    refused(() => checkTopic('.a'), /empty token/)
    refused(() => checkTopic('a.'), /empty token/)
    refused(() => checkTopic('a..b'), /empty token/)
    refused(() => checkTopic('a.*'), /wildcard/)
    refused(() => checkTopic('a.>'), /wildcard/)
    refused(() => checkTopic('a*b'), /wildcard/)
    refused(() => checkTopic('a b'), /white space/)
    refused(() => checkTopic('a\u00a0b'), /white space/)
    refused(() => checkTopic('a\0'), /control/)
    refused(() => checkTopic('a\ud800'), /half a character/)
    refused(() => checkTopic('x'.repeat(MAX_TOPIC_BYTES + 1)), /255 bytes/)
    refused(() => checkTopic('é'.repeat(128)), /255 bytes/)
    refused(() => checkTopic(7 as unknown as string), /string, not number/)
  })

  it('keeps "$" for the system', () => {
    refused(() => checkTopic('$member.joined'), /reserved/)
    checkTopic('$member.joined', 'system')
    refused(() => checkTopic('$member.*', 'system'), /wildcard/)
  })
})

describe('checkPattern', () => {
  it('accepts what checkTopic accepts, and wildcards as whole tokens', () => {
    for (const pattern of ['a', '*', '>', 'a.*', 'a.*.c', '*.*', 'a.>', '*.>', '$member.*', '$member.>'])
      checkPattern(pattern)
  })

  it('names the fault', () => {
    refused(() => checkPattern('>.a'), /before its end/)
    refused(() => checkPattern('a.>.b'), /before its end/)
    refused(() => checkPattern('a*.b'), /inside the token "a\*"/)
    refused(() => checkPattern('a.b>'), /inside the token/)
    refused(() => checkPattern('**'), /inside the token/)
    refused(() => checkPattern('a..*'), /empty token/)
    refused(() => checkPattern('a. *'), /white space/)
  })
})

describe('topicMatches', () => {
  it('is NATS matching, but for "$"', () => {
    fc.assert(fc.property(patterns, topics, (p, t) => assert.equal(topicMatches(p, t), naive(p, t), `${p} on ${t}`)))
  })

  it('does not let a wildcard in front match the system topics', () => {
    for (const pattern of ['>', '*', '*.joined', '*.>']) assert.equal(topicMatches(pattern, '$member.joined'), false)
    for (const pattern of ['$member.*', '$member.>', '$member.joined']) {
      assert.equal(topicMatches(pattern, '$member.joined'), true)
    }
    assert.equal(topicMatches('a.>', 'a'), false)
  })
})

describe('TopicMatcher', () => {
  it('finds what the naive matcher finds, in the order of subscription, while subscriptions come and go', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), pattern: patterns, who: fc.nat(3) }),
      fc.record({ do: fc.constant('remove' as const), pattern: patterns, who: fc.nat(3) }),
      fc.record({ do: fc.constant('match' as const), topic: topics }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const matcher = new TopicMatcher<number>()
        const model: { pattern: string; who: number }[] = []
        for (const s of steps) {
          if (s.do === 'match') {
            const expected = [...new Set(model.filter((m) => naive(m.pattern, s.topic)).map((m) => m.who))]
            assert.deepEqual(matcher.match(s.topic), expected)
            continue
          }
          const at = model.findIndex((m) => m.pattern === s.pattern && m.who === s.who)
          if (s.do === 'add') {
            assert.equal(matcher.add(s.pattern, s.who), at < 0)
            if (at < 0) model.push({ pattern: s.pattern, who: s.who })
          } else {
            assert.equal(matcher.remove(s.pattern, s.who), at >= 0)
            if (at >= 0) model.splice(at, 1)
          }
          assert.equal(matcher.size, model.length)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('answers a known topic with the very same array, until a subscription changes', () => {
    const matcher = new TopicMatcher<string>()
    matcher.add('a.*', 'x')
    const first = matcher.match('a.b')
    assert.equal(matcher.match('a.b'), first)
    matcher.add('>', 'y')
    assert.deepEqual(matcher.match('a.b'), ['x', 'y'])
    assert.deepEqual(first, ['x'], 'the earlier answer is not touched')
    matcher.remove('a.*', 'x')
    assert.deepEqual(matcher.match('a.b'), ['y'])
  })

  it('gives right answers past the bound of its memory', () => {
    const matcher = new TopicMatcher<string>()
    matcher.add('t.*', 'x')
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < MATCH_CACHE_TOPICS * 2; i++) {
        assert.deepEqual(matcher.match(`t.${i}`), ['x'])
        assert.deepEqual(matcher.match(`u.${i}`), [])
      }
    }
  })

  it('names of Object.prototype are topics like others', () => {
    const matcher = new TopicMatcher<string>()
    for (const topic of ['constructor', '__proto__', 'toString.valueOf']) assert.deepEqual(matcher.match(topic), [])
    matcher.add('__proto__', 'x')
    assert.deepEqual(matcher.match('__proto__'), ['x'])
    assert.deepEqual(matcher.match('constructor'), [])
  })
})
