// limit: 300 s
import { engineSuite } from '../../../src/testing/conformance/engine.ts'
import { eventSuite } from './events.ts'
import { failoverSuite } from './failover.ts'
import { streamSuite } from './streams.ts'
import { memoryWorld } from './world.ts'

engineSuite('memory', memoryWorld)
streamSuite('memory', memoryWorld)
eventSuite('memory', memoryWorld)
failoverSuite('memory', memoryWorld)
