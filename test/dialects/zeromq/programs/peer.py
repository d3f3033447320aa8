"""pyzmq in one role, driven by JSON lines: peer.py subscribe <endpoint> [prefix...] | call <endpoint> | bus"""
import json
import sys
import threading

import zmq

lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps(message), flush=True)


context = zmq.Context()
role, *words = sys.argv[1:]


def on_events(socket):
    while True:
        frames = socket.recv_multipart()
        topic, text = frames[-1].split(b"\0", 1)
        say(event=json.loads(text), topic=topic.decode(), frames=len(frames))


def on_answers(socket):
    while True:
        frames = socket.recv_multipart()
        say(frames=[frame.decode() for frame in frames])


def on_requests(socket, publisher):
    while True:
        identity, *frames = socket.recv_multipart()
        request = json.loads(frames[-1])
        say(identity=identity.decode(), request=request, frames=len(frames))
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] == "echo":
            answer["result"] = request.get("params")
        elif request["method"] != "null":
            answer["error"] = {"code": -32601, "message": "ipc: method not found"}
        socket.send_multipart([identity, b"", json.dumps(answer).encode()])


if role == "subscribe":
    subscriber = context.socket(zmq.SUB)
    for prefix in words[1:] or [""]:
        subscriber.setsockopt_string(zmq.SUBSCRIBE, prefix)
    subscriber.connect(words[0])
    threading.Thread(target=on_events, args=(subscriber,), daemon=True).start()
    say(ready=True)
    sys.stdin.read()
elif role == "call":
    dealer = context.socket(zmq.DEALER)
    dealer.connect(words[0])
    say(ready=True)
    for line in sys.stdin:
        command = json.loads(line)
        dealer.send_multipart([frame.encode("latin1") for frame in command["send"]])
        if command.get("answers", 1) > 0:
            for _ in range(command.get("answers", 1)):
                say(frames=[frame.decode() for frame in dealer.recv_multipart()])
else:
    publisher = context.socket(zmq.PUB)
    router = context.socket(zmq.ROUTER)
    pub = publisher.bind_to_random_port("tcp://127.0.0.1")
    rpc = router.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=on_requests, args=(router, publisher), daemon=True).start()
    say(ready=True, pub=f"tcp://127.0.0.1:{pub}", rpc=f"tcp://127.0.0.1:{rpc}")
    for line in sys.stdin:
        command = json.loads(line)
        publisher.send(command["topic"].encode() + b"\0" + json.dumps(command["envelope"]).encode())
context.destroy(linger=0)
