"""Python without a network: only this machine itself can be reached. For a kernel, by way of PYTHONPATH."""

import sys

HERE = {"localhost", "127.0.0.1", "::1"}


def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        host = (
            arguments[1][0] if isinstance(arguments[1], tuple) else None
        )  # a path is a socket of this machine
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in HERE and host is not None:
        raise OSError(f"no network here: {host} was asked for")


sys.addaudithook(refuse)
