import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import {
  endpointPath,
  formatEndpoint,
  inspectEndpoint,
  isEndpointName,
  newEndpointPath,
} from '../../src/election/index.ts'
import { code, folder, isRoot, machine, posix, systemError, withFaults } from './support.ts'

const NAME = 'AbCdEfGhIjKlMn_-.sock'

async function listen(t: TestContext, path: string): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen({ path, exclusive: true }, resolve))
  t.after(() => server.close())
  return server
}

describe('newEndpointPath', () => {
  it('B5 is 96 random bits in the runtime directory', (t) => {
    const platform = posix(t)
    const paths = Array.from({ length: 1000 }, () => newEndpointPath(platform))
    assert.equal(new Set(paths).size, 1000)
    for (const path of paths) {
      assert.equal(dirname(path), platform.runtimeDirectory())
      assert(isEndpointName(basename(path)), path)
    }
    const [first] = paths
    assert.equal(endpointPath(formatEndpoint(platform, first!)), first)
  })

  it('says when the path is too long', () => {
    const platform = withFaults(machine().process(), { runtimeDirectory: () => `/tmp/${'x'.repeat(90)}` })
    assert.throws(() => newEndpointPath(platform), code('PATH_TOO_LONG', /XDG_RUNTIME_DIR/))
  })
})

describe('inspectEndpoint', () => {
  it('finds a socket of ours in a private directory of ours', async (t) => {
    const platform = posix(t)
    const path = newEndpointPath(platform)
    const endpoint = formatEndpoint(platform, path)
    assert.equal(inspectEndpoint(platform, endpoint), 'absent')
    await listen(t, path)
    assert.equal(inspectEndpoint(platform, endpoint), 'present')
    assert.equal(inspectEndpoint(platform, `unix:/no/such/directory/${NAME}`), 'absent')
  })

  it('B4 does not trust any other place', async (t) => {
    const platform = posix(t)
    const at = folder(t)
    const endpoint = (directory: string, name = NAME): string => `unix:${join(at, directory, name)}`

    mkdirSync(join(at, 'open'))
    chmodSync(join(at, 'open'), 0o755)
    await listen(t, join(at, 'open', NAME))
    assert.equal(inspectEndpoint(platform, endpoint('open')), 'untrusted')

    mkdirSync(join(at, 'ours'), { mode: 0o700 })
    await listen(t, join(at, 'ours', NAME))
    await listen(t, join(at, 'ours', 'docker.sock'))
    assert.equal(inspectEndpoint(platform, endpoint('ours')), 'present')
    assert.equal(inspectEndpoint(platform, endpoint('ours', 'docker.sock')), 'untrusted', 'not a name of ours')
    assert.equal(inspectEndpoint(platform, `memory:${join(at, 'ours', NAME)}`), 'untrusted', 'of another platform')

    symlinkSync('ours', join(at, 'linked'))
    assert.equal(inspectEndpoint(platform, endpoint('linked')), 'untrusted')

    mkdirSync(join(at, 'odd'), { mode: 0o700 })
    writeFileSync(join(at, 'odd', NAME), '')
    assert.equal(inspectEndpoint(platform, endpoint('odd')), 'untrusted', 'a file')
    symlinkSync('/run/docker.sock', join(at, 'odd', NAME.toLowerCase()))
    assert.equal(inspectEndpoint(platform, endpoint('odd', NAME.toLowerCase())), 'untrusted', 'a symlink')

    const deep = join('ours', 'x'.repeat(100))
    assert.equal(inspectEndpoint(platform, endpoint(deep)), 'untrusted', 'too long to connect to')
  })

  it("B4 does not trust another user's directory", { skip: !isRoot && 'needs root for chown' }, async (t) => {
    const platform = posix(t)
    const at = folder(t)
    await listen(t, join(at, NAME))
    assert.equal(inspectEndpoint(platform, `unix:${join(at, NAME)}`), 'present')
    chownSync(at, 12345, 12345)
    assert.equal(inspectEndpoint(platform, `unix:${join(at, NAME)}`), 'untrusted')
  })

  it('B4 what may not be looked at is not ours', () => {
    const platform = withFaults(machine().process(), {
      stat: () => {
        throw systemError('EACCES')
      },
    })
    assert.equal(inspectEndpoint(platform, `memory:/run/user/1/conclave/${NAME}`), 'untrusted')
  })
})
