/**
 * Modules of Node whose `import` costs each member: an `import` makes an ES module of it, and for that everything lazy in
 * it is loaded as well: `fs` brings fs/promises (1.4 ms, 1 MiB), `util` its parsers (3 ms, 3 MiB). Taken this way they cost nothing,
 * since Node's own start has loaded them. test/platform/builtins.test.ts counts what a member loads.
 */
export const fs: typeof import('node:fs') = process.getBuiltinModule('node:fs')
export const util: typeof import('node:util') = process.getBuiltinModule('node:util')
