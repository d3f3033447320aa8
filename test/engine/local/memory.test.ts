import { engineSuite } from '../../../src/testing/conformance/engine.ts'
import { memoryWorld } from './world.ts'

engineSuite('memory', memoryWorld)
