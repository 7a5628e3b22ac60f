"""Which word was meant, where another one was written: "did you mean"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

ALIKE = 0.6  # of 1, from which words are taken for each other; difflib's usual bound


class WrongWord(ValueError):
    """A word that is none of a few.  Its text is what there is to choose from; ``hint`` as below."""

    def __init__(self, choice: str, given: object, words: Iterable[str]) -> None:
        super().__init__(choice)
        self.hint: str = did_you_mean(given, words) if isinstance(given, str) else ""


def one_of(*words: str) -> Callable[[str], str]:
    """What takes one of a few words, whatever its case, and raises WrongWord for others."""
    known = {word.lower(): word for word in words}

    def parse(text: str) -> str:
        word = known.get(text.lower())
        if word is None:
            raise WrongWord(f"{', '.join(words[:-1])} or {words[-1]}", text, words)
        return word

    return parse


def did_you_mean(written: str, known: Iterable[str], shown: str = "{!r}", *, beginning: str = "") -> str:
    """A sentence for the end of an error, with a space before it; "" if nothing is near.

    ``shown`` is how the word is written in it; ``beginning`` as in ``nearest``.
    """
    word = nearest(written, known, beginning=beginning)
    return "" if word is None else f" Did you mean {shown.format(word)}?"


def nearest(written: str, known: Iterable[str], *, beginning: str = "") -> str | None:
    """The known word that is most like the one written; None if none is, or two are equally so.

    Case does not count, nor whether words are joined by - or _, nor a ``beginning`` that all share.
    Alike are words by the measure of Ratcliff and Obershelp, as ``difflib`` has it.
    """
    from difflib import SequenceMatcher  # only those who were wrong pay for it

    def bare(word: str) -> str:
        return word.removeprefix(beginning).lower().replace("_", "-")

    matcher: SequenceMatcher[str] = SequenceMatcher(b=bare(written))
    found: dict[str, float] = {}
    for word in known:
        matcher.set_seq1(bare(word))
        found[word] = matcher.ratio()
    best = max(found.values(), default=0.0)
    words = [word for word, alike in found.items() if alike == best]
    return words[0] if len(words) == 1 and best >= ALIKE else None
