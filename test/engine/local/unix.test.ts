// limit: 300 s
import { engineSuite } from '../../../src/testing/conformance/engine.ts'
import { eventSuite } from './events.ts'
import { failoverSuite } from './failover.ts'
import { streamSuite } from './streams.ts'
import { unixWorld } from './world.ts'

engineSuite('unix sockets', unixWorld)
streamSuite('unix sockets', unixWorld)
eventSuite('unix sockets', unixWorld)
failoverSuite('unix sockets', unixWorld)
