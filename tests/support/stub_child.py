"""A child process for tests of the supervisor: says that it is ready, answers on an inherited socket, drains.

Usage: stub_child.py READY_FD [LISTEN_FD] [--fail-if FILE] [--ignore-term]
"""

import os
import select
import signal
import socket
import sys


def main() -> None:
    """Serve one line, our pid, to each client until told to end."""
    ready_fd = int(sys.argv[1])
    if "--fail-if" in sys.argv and os.path.exists(sys.argv[sys.argv.index("--fail-if") + 1]):
        print("the stub was told to fail", flush=True)
        sys.exit(3)
    told, wake = os.pipe()
    os.set_blocking(wake, False)
    ignored = "--ignore-term" in sys.argv
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignored else lambda *_: None)
    signal.set_wakeup_fd(wake)
    listeners = {int(fd): socket.socket(fileno=int(fd)) for fd in sys.argv[2:3] if fd.isdigit()}
    os.write(ready_fd, b'{"admin": "stub"}\n')
    os.close(ready_fd)
    while told not in (readable := select.select([told, *listeners], [], [])[0]):
        for fd in readable:
            _answer(listeners[fd])


def _answer(listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return  # another process of this socket was faster
    with connection:
        connection.sendall(f"{os.getpid()}\n".encode())


if __name__ == "__main__":
    main()
