"""Several processes that serve one socket: started, watched, started again when one dies, and stopped in order.

The first worker starts first and stops last: on SQLite it is the one that writes. The supervisor itself opens no store
and runs no event loop, so it can fork at any time.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import structlog

from server.errors import TiercareError, Unavailable
from server.rest.app import App
from server.serving import GRACE, serve

log = structlog.get_logger()
DEATHS = 10  # of workers within MINUTE seconds, past which starting them again is given up
MINUTE = 60.0
STOP = GRACE + 10  # seconds until a worker that does not stop is killed
Build = Callable[[int], App]  # the app of worker n


class Supervisor:
    """`announce` is called once, when all workers serve."""

    def __init__(self, count: int, listener: socket.socket, build: Build, announce: Callable[[], None]) -> None:
        self._listener, self._build, self._announce = listener, build, announce
        self._workers = [_Worker(n) for n in range(count)]
        self._deaths: deque[float] = deque()
        self._lifeline = os.pipe()  # its writing end closes when the supervisor is gone, however it went
        self._stop, self._stopped = os.pipe()

    def run(self) -> None:
        """Until SIGINT or SIGTERM. Raises TiercareError when a worker does not start, or when they die all the time."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os.write(self._stopped, b"x"))
        try:
            if self._start(self._workers[:1]) and self._start(self._workers[1:]):
                self._announce()
                self._watch()
        finally:
            self._listener.close()
            self._end(self._workers[1:])
            self._end(self._workers[:1])

    def _start(self, workers: "list[_Worker]") -> bool:
        """Starts them and waits until they serve; False: it was told to stop meanwhile. Raises why one does not."""
        for worker in workers:
            self._fork(worker)
        while waiting := [worker for worker in workers if not worker.serves]:
            ready = wait([self._stop, *(worker.status for worker in waiting)])
            if self._stop in ready:
                return False
            for worker in waiting:
                if worker.status in ready:
                    worker.hear()
        return True

    def _watch(self) -> None:
        while True:
            ready = wait([self._stop, *(worker.process.sentinel for worker in self._workers)])
            if self._stop in ready:
                return
            dead = [worker for worker in self._workers if worker.process.sentinel in ready]
            for worker in dead:
                worker.process.join()
                log.error("a worker died and is started again", worker=worker.number, code=worker.process.exitcode)
                self._count_death()
            if not self._start(dead):
                return

    def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - MINUTE:
            self._deaths.popleft()
        if len(self._deaths) > DEATHS:
            raise Unavailable(f"workers died {len(self._deaths)} times within {MINUTE:.0f} s: the log above says why")

    def _fork(self, worker: "_Worker") -> None:
        context = multiprocessing.get_context("fork")
        worker.status, theirs = context.Pipe(duplex=False)
        worker.serves = False
        sys.stdout.flush()
        worker.process = context.Process(
            target=self._work, args=(worker.number, theirs), name=f"worker {worker.number}"
        )
        worker.process.start()
        worker.started = True
        theirs.close()  # so that its death is an end of file here

    def _end(self, workers: "list[_Worker]") -> None:
        living = [worker.process for worker in workers if worker.started and worker.process.is_alive()]
        deadline = time.monotonic() + STOP
        while living and time.monotonic() < deadline:
            for process in living:
                process.terminate()  # again and again: one that was just forked may not have listened yet
            wait([process.sentinel for process in living], 1.0)
            living = [process for process in living if process.is_alive()]
        for process in living:
            process.kill()
            process.join()

    # ---------------------------------------------------------------------------------------- in the new process
    def _work(self, number: int, status: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(self._lifeline[1])
        threading.Thread(target=_end_with_supervisor, args=(self._lifeline[0],), daemon=True).start()
        try:
            serve(self._build(number), self._listener, lambda: status.send(""), worker=True)
        except TiercareError as error:
            with contextlib.suppress(OSError):  # it may have been closed after the start
                status.send(str(error))


class _Worker:
    """`process` and `status` are there once it was started."""

    process: BaseProcess
    status: "Connection[str, str]"

    def __init__(self, number: int) -> None:
        self.number, self.serves, self.started = number, False, False

    def hear(self) -> None:
        """What it says of its start: nothing is good. Raises TiercareError with the reason otherwise."""
        try:
            said = self.status.recv()
        except EOFError:
            self.process.join()
            said = f"worker {self.number} ended before it served (code {self.process.exitcode})"
        if said:
            raise Unavailable(said)
        self.serves = True


def _end_with_supervisor(lifeline: int) -> None:
    os.read(lifeline, 1)  # returns when no process holds the writing end any more
    os.kill(os.getpid(), signal.SIGTERM)
