"""Ten thousand faults between Moored and Redis: nothing is counted twice, nothing is reported wrongly."""

from __future__ import annotations

import random
import threading
from collections import Counter

from moored import OutcomeUnknown, State, Unavailable
from moored.testing.faults import FaultProxy, chance, cut_after, cut_before, late
from moored.testing.servers import RedisServer

FAULTS = 10_000
WRITERS = 16


def test_ten_thousand_faults(redis_server: RedisServer, redis_url: str) -> None:
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()
    errors: list[BaseException] = []
    with FaultProxy(redis_server.port) as proxy:
        faults = {cut_before(): 0.08, cut_after(): 0.1, late(3): 0.12}
        proxy.plan(chance(random.Random(20), faults), only=b"EVALSHA")
        state = State(proxy.url_for(redis_url), deadline=0.6)
        state.binding.policy._budget = float("inf")

        def write(number: int) -> None:
            counter = state.counter(f"c{number // 2}")
            mine: Counter[str] = Counter()
            try:
                while sum(proxy.fired.values()) < FAULTS:
                    try:
                        counter.add(1)
                        mine["done"] += 1
                    except OutcomeUnknown as error:
                        mine["lost"] += 1
                        mine[error.resolve()] += 1
                    except Unavailable:
                        mine["not done"] += 1
            except BaseException as error:
                errors.append(error)
            with lock:
                outcomes.update(mine)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state.close()
        proxy.deliver()
        fired = Counter(proxy.fired)
    assert not errors, errors[:1]
    with State(redis_url) as direct:
        counted = sum(direct.counter(f"c{number}").value() for number in range(8))
    assert outcomes["done"] <= counted <= outcomes["done"] + outcomes["unknown"], (counted, outcomes)
    assert outcomes["unknown"] <= outcomes["lost"] / 2, "resolve() can usually tell"
    assert sum(fired.values()) >= FAULTS
    assert min(fired[name] for name in ("cut_before", "cut_after", "late")) > FAULTS / 10, fired
    print(f"{sum(fired.values())} faults {dict(fired)}; {dict(outcomes)}; counted {counted}")
