import type { OptionSpecs } from './args.ts'

/** Every verb has these. */
export const COMMON: OptionSpecs = {
  json: { type: 'boolean', help: 'for machines: JSON on stdout' },
  help: { type: 'boolean', short: 'h', help: 'this page' },
  version: { type: 'boolean', help: 'the version' },
}

export const PLACE: OptionSpecs = {
  dir: { type: 'string', value: 'FOLDER', help: 'the workspace, or a folder in it (default: .)' },
  app: { type: 'string', value: 'APP', help: 'the product, where a folder has several' },
}

export const WAIT: OptionSpecs = {
  wait: { type: 'string', value: 'MS', help: 'how long to wait for a primary (default: 0)' },
}
