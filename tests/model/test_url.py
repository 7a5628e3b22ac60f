"""URLs: no password in what is shown of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from moored.engines.memory import MemoryEngine
from moored.errors import ConfigurationError
from moored.url import ENGINES, parse, redacted

SECRET = "hunter2"
MALFORMED = (
    "redis:user:hunter2@localhost:6379/0",
    "redis:/user:hunter2@localhost:6379/0",
    "redis:///user:hunter2@localhost:6379/0",
    "redis:///:hunter2@localhost:6379/0",
    "rediss:/:hunter2@localhost:6379/0",
    "redis:////user:hunter2@localhost/0",
    "redis:\\\\user:hunter2@localhost:6379/0",
    "redis:?hunter2@localhost",
    "redis://:hunter2?4@localhost/0",
    "redis://:hunter2#4@localhost/0",
    "redis://x@y:12/hunter2@localhost/0",
    "redis://user:hunter2/0",
    "redis://[hunter2@localhost/0",
    "unix:user:hunter2@/run/redis.sock",
    "unix:/user:hunter2@/run/redis.sock",
    "unix:////hunter2@/run/redis.sock",
    "memory:user:hunter2@localhost",
    "sqlite://user:hunter2/x@localhost/shop.db",
    "redsi:user:hunter2@localhost:6379/0",
    ":hunter2@localhost:6379/0",
    "//user:hunter2@localhost:6379/0",
    "/user:hunter2@localhost",
)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_and_its_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value, limit=0))
    assert SECRET not in redacted(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hunter2@localhost:6379/0?password=hunter2", "redis://localhost:6379/0"),
        ("redis://user:hunter2@hunter2@localhost/0", "redis://localhost/0"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock"),
        ("unix:///run/redis%401.sock", "unix:///run/redis%401.sock"),
        ("sqlite:shop.db", "sqlite:shop.db"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("sqlite:////srv/hunter2@work/shop.db", "sqlite:…@work/shop.db"),
        ("/srv/hunter2@work/shop.db", "work/shop.db"),
        ("memory:", "memory:"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_a_file_may_have_an_at_sign() -> None:
    assert parse("sqlite:////srv/me@work/shop.db")[1].database == "//srv/me@work/shop.db"


@pytest.mark.parametrize("name", ["password", "username", "ssl_password", "ssl_keyfile_password"])
def test_the_value_of_a_secret_option_is_not_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> str:
        raise ValueError("longer")

    class Guarded(MemoryEngine):
        options: ClassVar[dict[str, Callable[[str], Any]]] = {name: refuse, "colour": refuse}

    monkeypatch.setattr(f"{__name__}.Guarded", Guarded, raising=False)
    monkeypatch.setitem(ENGINES, "guarded", f"{__name__}:Guarded")
    with pytest.raises(ConfigurationError, match=f"^the option '{name}' must be longer. ") as caught:
        parse(f"guarded:?{name}=hunter2")
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="must be longer, not 'red'"):
        parse("guarded:?colour=red")


def test_the_prefix_is_a_part_of_where_state_is() -> None:
    """Whoever copies what is shown must come to the same state."""
    shown = str(parse("redis://user:secret@localhost:6379/1?prefix=session:&deadline=1")[1])
    assert shown == "redis://localhost:6379/1?prefix=session:"
    assert str(parse("redis://localhost:6379/1")[1]) == "redis://localhost:6379/1"
