"""What a password must be, by NIST SP 800-63B, section 3.1.1.2: long, and not a common one.

No rules about capitals, digits and signs; spaces and every letter of Unicode count as one.
"""

from __future__ import annotations

import unicodedata

SHORTEST = 8
LONGEST = 128  # letters; the standard asks for 64 at least
NAMES_LONGEST = 40

# The commonest of eight letters and more, and what this shop suggests: the blocklist of a demo.
_WORDS = """
    12345678 123456789 1234567890 87654321 1q2w3e4r 1qaz2wsx 1q2w3e4r5t abcd1234 abc12345 aa123456 asdfghjk
    asdf1234 baseball basketball changeme chocolate computer corvette danielle einstein football helloworld
    iloveyou internet jennifer letmein1 liverpool metallica michelle midnight passw0rd password password1
    password123 princess qwerty12 qwerty123 qwertyui qwertyuiop q1w2e3r4 samantha starwars sunshine superman
    trustno1 victoria welcome1 whatever zaq12wsx chandlery thechandlery mooredmoored
"""
COMMON = frozenset(_WORDS.split())


def name_problem(name: str) -> str:
    """What is wrong with a name for a new account; "" if nothing is."""
    if not name.strip():
        return "Tell us a name first."
    if len(name) > NAMES_LONGEST:
        return f"A name has {NAMES_LONGEST} letters at most."
    return ""


def password_problem(name: str, password: str) -> str:
    """What is wrong with a password for a new account; "" if nothing is."""
    plain = unicodedata.normalize("NFKC", password)
    if len(plain) < SHORTEST:
        return f"A password has at least {SHORTEST} letters or signs. A few words are easy to remember."
    if len(plain) > LONGEST:
        return f"A password has {LONGEST} letters at most."
    if plain.casefold() in COMMON or plain.casefold() == name.strip().casefold() or len(set(plain)) == 1:
        return "This is among the first passwords that somebody would try. Take another one."
    return ""
