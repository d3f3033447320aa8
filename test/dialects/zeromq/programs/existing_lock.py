"""Locks as the existing program does, step by step: existing_lock.py <path>, driven by lines: lock, write <text>, release"""
import fcntl
import json
import os
import sys

path = sys.argv[1]
file = None
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    step = command["do"]
    if step == "lock":
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print(json.dumps({"did": step, "locked": True}), flush=True)
        except OSError:
            print(json.dumps({"did": step, "locked": False, "text": os.read(file, 4096).decode()}), flush=True)
        continue
    if step == "open":
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    elif step == "flock":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif step == "write":
        os.ftruncate(file, 0)
        os.pwrite(file, command["text"].encode(), 0)
    elif step == "release":
        fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
        os.unlink(path)
    print(json.dumps({"did": step}), flush=True)
