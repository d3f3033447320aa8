import { engineSuite } from '../../../src/testing/conformance/engine.ts'
import { unixWorld } from './world.ts'

engineSuite('unix sockets', unixWorld)
