"""An independent bilateral node over pyzmq and libzmq 4.3: bind or connect, JSON calls. One JSON object a line, both ways.

argv[1]: {"role": "bind" | "connect", "name": ..., "network": ..., "address": ..., "peer": ..., "secret": ..., "count": N}
Connecting: it joins peer and makes count calls of Arith.SumDiff. Both: answers Arith.SumDiff.
Binding: after the first JOIN it calls Arith.SumDiff of who joined.
"""
import json
import sys
import time

import zmq

config = json.loads(sys.argv[1])
name, network = config["name"].encode(), config["network"].encode()
secret = config.get("secret")
socket = zmq.Context().socket(zmq.ROUTER)
socket.setsockopt(zmq.IDENTITY, name)
socket.setsockopt(zmq.LINGER, 50)
socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
binding = config["role"] == "bind"
if secret:
    socket.curve_publickey, socket.curve_secretkey = name, secret.encode()
    if binding:
        socket.curve_server = 1
    else:
        socket.curve_serverkey = config["peer"].encode()


def say(**message):
    print(json.dumps(message), flush=True)


def call(to, number):
    args = {"A": number, "B": 1}
    socket.send_multipart([to, b"CALL", json.dumps([number, "Arith.SumDiff", args]).encode()])


def answer(to, data):
    number, method, args = json.loads(data)
    reply = {"S": args["A"] + args["B"], "D": args["A"] - args["B"]}
    socket.send_multipart([to, b"BACK", json.dumps([number, method, None, reply]).encode()])


peer = config.get("peer", "").encode()
joined = False
replies = []
if binding:
    socket.bind(config["address"].replace(":*", ":0"))
    say(ready=True, address=socket.last_endpoint.decode())
else:
    socket.connect(config["address"])
    say(ready=True)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    if not binding and not joined:
        socket.send_multipart([peer, b"JOIN", network])
    if not socket.poll(100):
        continue
    sender, command, data = socket.recv_multipart()
    if command == b"JOIN":
        socket.send_multipart([sender, b"STAY" if data == network else b"PART", b""])
        if data == network:
            call(sender, 7)
    elif command == b"STAY" and not joined:
        joined = True
        socket.send_multipart([peer, b"TICK", (42).to_bytes(8, "big")])
        for number in range(1, config.get("count", 1) + 1):
            call(peer, number)
    elif command == b"PART":
        say(refused=True)
        break
    elif command == b"TICK":
        socket.send_multipart([sender, b"TOCK", data])
    elif command == b"TOCK":
        say(tock=int.from_bytes(data, "big"))
    elif command == b"CALL":
        answer(sender, data)
    elif command == b"CAST":
        say(cast=json.loads(data)[2], sender=sender.decode())
    elif command == b"BACK":
        number, method, error, reply = json.loads(data)
        replies.append([number, error, reply])
        if len(replies) == (1 if binding else config.get("count", 1)):
            say(replies=replies)
