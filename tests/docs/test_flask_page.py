"""The page about Flask lists the settings that there are, with their defaults."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from tests.docs.pages import DOCS, table

from moored.engines.memory import MemoryEngine
from moored.engines.redis import RedisEngine
from moored.engines.sqlite import SqliteEngine
from moored.flask.config import OF_FLASK, SETTINGS
from moored.flask.values import milliseconds, milliseconds_or_none
from moored.merge import Rules
from moored.url import COMMON, ENGINES

PAGE = DOCS / "flask.md"
DURATIONS = (milliseconds, milliseconds_or_none)


def test_every_setting_is_there_with_its_default_and_meaning() -> None:
    expected = [
        [
            f"`{name}`",
            _shown(setting.default, setting.check in DURATIONS) or _in_words(setting.otherwise),
            setting.meaning,
        ]
        for name, setting in SETTINGS.items()
    ]
    assert table(PAGE, "setting", "default", "meaning") == expected


def test_a_setting_without_a_value_says_what_holds() -> None:
    silent = {name for name, one in SETTINGS.items() if one.default is None and not one.otherwise}
    assert silent == set()


def _in_words(words: str) -> str:
    return f"`{words}`" if words.isupper() else words


def _shown(default: Any, duration: bool) -> str:
    if default is None or isinstance(default, Rules):
        return ""
    if duration:
        days, hours = divmod(timedelta(milliseconds=default) // timedelta(hours=1), 24)
        return f"{days} days" if days else f"{hours} hour"
    if isinstance(default, tuple):
        names = default if default[0] == "_auth_user_id" else sorted(default)
        return ", ".join(f"`{name}`" for name in names)
    return f"`{default}`" if isinstance(default, str) else str(default)


def test_flasks_own_settings_that_are_checked_are_there() -> None:
    text = " ".join(row[0] for row in table(PAGE, "setting", "here"))
    names = re.findall(r"`(\w+)`", text)
    prefix = "SESSION_COOKIE"
    assert set(OF_FLASK) <= {prefix + name if name.startswith("_") else name for name in names}


def test_every_option_of_a_url_is_there() -> None:
    written = {name for row in table(PAGE, "option", "for", "") for name in re.findall(r"`(\w+)`", row[0])}
    known = {*COMMON, *MemoryEngine.options, *SqliteEngine.options, *RedisEngine.options}
    assert written == known


def test_every_scheme_is_there() -> None:
    text = " ".join(" ".join(row) for row in table(PAGE, "URL", ""))
    assert [scheme for scheme in ENGINES if f"{scheme}:" not in text] == []
