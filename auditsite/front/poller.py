"""Wait for sockets in many threads at once: each event goes to one thread, until that thread asks for the next."""

import select
import sys

if sys.platform == "linux":

    class Poller:
        """On Linux: epoll."""

        def __init__(self) -> None:
            self._epoll = select.epoll()

        def watch(self, fd: int) -> None:
            """Tell one thread each time that `fd` can be read, again and again."""
            self._epoll.register(fd, select.EPOLLIN)

        def add(self, fd: int) -> None:
            """Tell one thread once that `fd` can be read."""
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

        def again(self, fd: int, *, write: bool = False) -> None:
            """Tell one thread once more that `fd` can be read or written."""
            self._epoll.modify(fd, (select.EPOLLOUT if write else select.EPOLLIN) | select.EPOLLONESHOT)

        def next(self, seconds: float | None = None) -> int | None:
            """Return the next descriptor that is ready; None if there is none within `seconds`."""
            ready = self._epoll.poll(seconds, 1)
            return ready[0][0] if ready else None

else:

    class Poller:
        """On macOS: kqueue."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()

        def watch(self, fd: int) -> None:
            """Tell one thread each time that `fd` can be read, again and again."""
            self._change(fd, select.KQ_FILTER_READ, select.KQ_EV_ADD)

        def add(self, fd: int) -> None:
            """Tell one thread once that `fd` can be read."""
            self.again(fd)

        def again(self, fd: int, *, write: bool = False) -> None:
            """Tell one thread once more that `fd` can be read or written."""
            kind = select.KQ_FILTER_WRITE if write else select.KQ_FILTER_READ
            self._change(fd, kind, select.KQ_EV_ADD | select.KQ_EV_ONESHOT)

        def next(self, seconds: float | None = None) -> int | None:
            """Return the next descriptor that is ready; None if there is none within `seconds`."""
            ready = self._kqueue.control(None, 1, seconds)
            return ready[0].ident if ready else None

        def _change(self, fd: int, kind: int, flags: int) -> None:
            self._kqueue.control([select.kevent(fd, kind, flags)], 0)
