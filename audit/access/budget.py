"""How often one network may do what costs before it is known who asks: unknown keys, and wrong passwords.

Counted in this process alone and in bounded memory, so that refusing costs neither a query nor a hash.
"""

import threading
import time
from collections import OrderedDict

NETWORKS = 10_000


class Budget:
    """Token buckets by network; the networks that were seen longest ago are forgotten first."""

    def __init__(self, burst: float, per_second: float):
        self._burst, self._per_second = burst, per_second
        self._lock = threading.Lock()
        # Tokens, and the time of the monotonic clock at which there were so many.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, network: str) -> bool:
        with self._lock:
            tokens = self._tokens(network)
            left = tokens >= 1
            self._buckets[network] = (tokens - left, time.monotonic())
            self._buckets.move_to_end(network)
            if len(self._buckets) > NETWORKS:
                self._buckets.popitem(last=False)
            return left

    def is_spent(self, network: str) -> bool:
        with self._lock:
            return self._tokens(network) < 1

    def reset(self) -> None:
        with self._lock:
            self._buckets.clear()

    def _tokens(self, network: str) -> float:
        tokens, at = self._buckets.get(network, (self._burst, 0.0))
        return min(self._burst, tokens + (time.monotonic() - at) * self._per_second)
