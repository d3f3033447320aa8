"""A peer without manners: packets as they are told, and what comes back. One JSON command a line, one JSON answer each.

raw_peer.py client <path>    raw_peer.py server <path>    (stdlib only)
"""
import errno
import json
import os
import socket
import sys

role, path = sys.argv[1:3]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener = None
if role == "client":
    sock.connect(path)
else:
    listener = sock
    listener.bind(path)
    listener.listen(8)
print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)

for line in sys.stdin:
    command = json.loads(line)
    try:
        if "send" in command:
            answer = {"sent": sock.send(bytes.fromhex(command["send"]))}
        elif "recv" in command:
            data = sock.recv(1 << 18)
            answer = {"got": data.hex()} if data else {"end": "EOF"}
        elif "accept" in command:
            sock, _ = listener.accept()
            answer = {"accepted": True}
        elif "shutdown" in command:
            sock.shutdown(socket.SHUT_WR)
            answer = {"shut": True}
        elif "close" in command:
            sock.close()
            answer = {"closed": True}
        elif "flood" in command:
            # Sends until the kernel takes no more.
            sock.setblocking(False)
            count = 0
            packet = bytes.fromhex(command["flood"])
            try:
                while count < command["most"]:
                    sock.send(packet)
                    count += 1
            except BlockingIOError:
                pass
            sock.setblocking(True)
            answer = {"sent": count}
        else:
            answer = {"error": "what?"}
    except OSError as error:
        answer = {"end": errno.errorcode.get(error.errno, str(error.errno))}
    print(json.dumps(answer), flush=True)
