"""A language server of few words: answers each request with its own params.

"initialize" says what it can do; "shutdown" and "exit" do as the protocol says. Log lines go to stderr.
"""

import json
import sys


def read(stream):
    length = None
    while True:
        line = stream.readline()
        if not line:
            return None
        if line == b"\r\n":
            return json.loads(stream.read(length))
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)


def write(stream, message):
    body = json.dumps(message, separators=(",", ":")).encode()
    stream.write(b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n%s" %
                 (len(body), body))
    stream.flush()


def main():
    stopping = False
    while True:
        request = read(sys.stdin.buffer)
        if request is None or request["method"] == "exit":
            return 0 if stopping else 1
        print("got", request["method"], file=sys.stderr, flush=True)
        if request["method"] == "initialize":
            result = {"capabilities": {"hoverProvider": True}}
        elif request["method"] == "shutdown":
            stopping, result = True, None
        else:
            result = request.get("params")
        write(sys.stdout.buffer, {"id": request["id"], "result": result})


sys.exit(main())
