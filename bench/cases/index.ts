import type { Case } from '../support/bench.ts'
import { big } from './big.ts'
import { drpc } from './drpc.ts'
import { failover } from './failover.ts'
import { fanout } from './fanout.ts'
import { idle } from './idle.ts'
import { joinCase } from './join.ts'
import { memory } from './memory.ts'
import { relay } from './relay.ts'
import { rpcLatency } from './rpc-latency.ts'
import { rpcThroughput } from './rpc-throughput.ts'
import { scale } from './scale.ts'
import { sqlite } from './sqlite.ts'
import { standalone } from './standalone.ts'
import { stream } from './stream.ts'

/** In the order of the report. */
export const CASES: readonly Case[] = [
  rpcLatency,
  rpcThroughput,
  fanout,
  relay,
  big,
  stream,
  sqlite,
  failover,
  joinCase,
  memory,
  scale,
  idle,
  drpc,
  standalone('zmq', 'The ZeroMQ dialect beside zeromq 6'),
  standalone('bilateral', 'The bilateral dialect'),
]
