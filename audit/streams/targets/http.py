"""http: any HTTP server that takes a batch as lines of JSON or as a JSON array, and answers 2xx once it has it."""

from collections.abc import Sequence

from audit.streams.config import Options
from audit.streams.faults import RecordsRefused
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken
from audit.streams.targets.post import Post, fault_of

# The batch as such is refused: for one of its records, which is looked for by halves.
REFUSED = {400, 413, 422}
TYPES = {"ndjson": "application/x-ndjson", "json": "application/json"}


class HttpTarget:
    """Posts each batch to one address."""

    def __init__(self, options: Options):
        self._post = Post(options)
        self._form = options.choice("format", "ndjson", tuple(TYPES))
        self._header = options.text("authorization_header", "Authorization")
        self._secret = options.secret("authorization")

    @property
    def place(self) -> str:
        return self._post.url

    def resume(self) -> Taken | None:
        return None

    def send(self, lines: Sequence[Line]) -> None:
        headers = {"Content-Type": TYPES[self._form]}
        if self._secret is not None:
            headers[self._header] = self._secret.read()
        answer = self._post.post("", self._body(lines), headers)
        if 200 <= answer.status < 300:
            return
        if answer.status in REFUSED:
            why = f"{answer.status}: {answer.text}"
            raise RecordsRefused({line.leaf: why for line in lines}, is_sure=len(lines) == 1)
        raise fault_of(answer, self.place)

    def close(self) -> None:
        self._post.close()

    def _body(self, lines: Sequence[Line]) -> bytes:
        if self._form == "json":
            return b"[" + b",".join(line.body for line in lines) + b"]"
        return b"".join(line.body + b"\n" for line in lines)
