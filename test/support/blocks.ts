/** The programs that documents hold, and what they say they print. */

export interface Block {
  readonly file: string
  /** Of its first line, from 1. */
  readonly line: number
  readonly code: string
  readonly run: boolean
}

/**
 * The `ts` blocks of a Markdown file. The info string may add words: `run` (executed, must end by itself),
 * `continued` (begins with the block before it). The code keeps its line numbers, by empty lines in front.
 */
export function blocksOf(file: string, markdown: string): Block[] {
  const blocks: Block[] = []
  const lines = markdown.split('\n')
  let before: string[] = []
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)(`{3,}|~{3,})(\w+)?(.*)$/.exec(lines[at] ?? '')
    if (fence === null) continue
    const [, indent = '', mark = '', language, info = ''] = fence
    const end = lines.findIndex((line, index) => index > at && line.trim() === mark)
    if (end < 0) throw new Error(`${file}:${at + 1}: a block that does not end`)
    if (language === 'ts') {
      const words = info.trim().split(/\s+/).filter(Boolean)
      const unknown = words.filter((word) => word !== 'run' && word !== 'continued')
      if (unknown.length > 0) throw new Error(`${file}:${at + 1}: \`\`\`ts ${unknown.join(' ')}: not a known word`)
      const placed = words.includes('continued') ? [...before] : []
      while (placed.length <= at) placed.push('')
      for (const line of lines.slice(at + 1, end))
        placed.push(line.startsWith(indent) ? line.slice(indent.length) : line)
      before = placed
      blocks.push({ file, line: at + 2, code: placed.join('\n'), run: words.includes('run') })
    }
    at = end
  }
  return blocks
}

/** What a program says of its output: `// prints: …`. */
export function printsOf(code: string): string[] {
  return [...code.matchAll(/\/\/ prints: (.+)$/gm)].map(([, text = '']) => text.trim())
}
