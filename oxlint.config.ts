import { defineConfig, type OxlintOverride } from 'oxlint'
import { filesOf, forbiddenSpecifiers, ORDER, PURE, ROOMS } from './scripts/layers.ts'

/** Each room gets its whole rule: of two overrides that fit a file the later one replaces the earlier. */
const layers = ROOMS.map((room): OxlintOverride => ({
  files: filesOf(room),
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...forbiddenSpecifiers(room).map(({ room: other, regex }) => ({
            regex,
            message: `Layers: ${room} may not look into ${other}. ${ORDER} (scripts/layers.ts)`,
          })),
          { regex: '^conclave(?:/|$)', message: 'Layers: inside src/ import the file, not the package.' },
          ...(PURE.includes(room)
            ? [{ regex: '^node:', message: `Layers: ${room} is pure: bytes in, messages out, no node: module.` }]
            : []),
        ],
      },
    ],
  },
}))

const TYPE_LEVEL = ['src/**/types.ts', 'src/**/schema.ts', 'src/**/contract.ts', 'src/**/database.ts']

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'oxc', 'node', 'promise'],
  categories: { correctness: 'error' },
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  ignorePatterns: ['dist', 'build', 'prebuilds', 'coverage', 'native', 'src/**/gen'],
  rules: {
    eqeqeq: 'error',
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    'no-restricted-properties': [
      'error',
      { object: 'process', property: 'platform', message: 'The porting contract in src/platform decides by it.' },
    ],
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'import/no-self-import': 'error',
    'promise/no-multiple-resolved': 'error',
    'typescript/await-thenable': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': [
      'error',
      {
        allowForKnownSafeCalls: [
          {
            from: 'package',
            package: 'node:test',
            name: ['test', 'it', 'describe', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
          },
        ],
      },
    ],
    'typescript/no-misused-promises': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/restrict-template-expressions': ['error', { allowNever: true, allowNumber: true, allowBoolean: true }],
    'typescript/return-await': ['error', 'error-handling-correctness-only'],
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'unicorn/prefer-node-protocol': 'error',
    // A copy before a loop that changes the original is no mistake, and `new Array(n)` is how a ring begins.
    'unicorn/no-useless-spread': 'off',
    'unicorn/no-new-array': 'off',
  },
  overrides: [
    ...layers,
    {
      files: [
        'src/cli/**',
        'bin/**',
        'scripts/**',
        'bench/**',
        'examples/**',
        'test/programs/**',
        'test/{platform,transport,election,rpc,events,engine,member,cli}/programs/**',
      ],
      rules: { 'no-console': 'off' },
    },
    {
      files: ['src/platform/**', 'src/cli/**', 'bin/**', 'scripts/**', 'bench/**', 'test/**'],
      rules: { 'no-restricted-properties': 'off' },
    },
    // Type-level code: `infer` needs `any` where it says nothing.
    { files: TYPE_LEVEL, rules: { 'typescript/no-explicit-any': 'off' } },
    { files: ['oxlint.config.ts'], rules: { 'import/no-default-export': 'off' } },
    {
      files: ['test/**', 'bench/**', 'src/testing/conformance/**'],
      rules: {
        'max-lines': 'off',
        'typescript/no-base-to-string': 'off',
        'typescript/require-array-sort-compare': 'off',
        'typescript/unbound-method': 'off',
      },
    },
    // Programs as their users write them: `publish` need not be awaited.
    { files: ['examples/**'], rules: { 'typescript/no-floating-promises': 'off' } },
  ],
})
