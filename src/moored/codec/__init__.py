"""Typed values to bytes and back.

Values are MessagePack.  What MessagePack has no type for is an extension type; the codes are
part of the stored format and never change their meaning:

====  =========  =============================================================================
code  type       payload
====  =========  =============================================================================
1     tuple      MessagePack array
2     set        MessagePack array, members in the order of their encoded bytes
3     frozenset  as set
4     int        beyond 64 bits: big-endian two's complement
5     Decimal    its text; finite
6     UUID       16 bytes
7     datetime   ISO 8601, then ``[Europe/Paris]`` for a ZoneInfo, ``[_fold=1]`` (RFC 9557)
8     date       ISO 8601
9     time       as datetime
10    timedelta  MessagePack array of days, seconds, microseconds
11    Markup     UTF-8
====  =========  =============================================================================

None, bool, int, float, str, bytes, list and dict are MessagePack's own.

- What ``encode`` takes, ``decode`` gives back equal and of the same type, and encoding that
  again gives the same bytes.
- Subclasses (OrderedDict, defaultdict, namedtuple, IntEnum, StrEnum, ...) are stored as the
  plain type, with what they hold as such.
- Keys of mappings are str, or int of 64 bits.  bool is refused: True and 1 are the same key.
- Mappings keep their order, because programs show them in it.  Mappings that are equal but
  ordered differently have different bytes.
- Sets of the same members have the same bytes in every process.
- An int has at most 4,300 digits, because Python makes no text of a longer one.
- Of a zone its key is kept if it is a ZoneInfo, else its offset.  If the key is unknown when
  decoding, the offset stays; a time has none then.  If the zone's rules have changed since, the
  instant stays and the local time moves.
- Markup becomes str if markupsafe is not installed when decoding.
- MessagePack's own timestamps, which others write, are read as datetime in UTC.
"""

from moored.codec.decoding import decode
from moored.codec.encoding import encode
from moored.codec.limits import DEEPEST, DEPTH, MOST

__all__ = ["DEEPEST", "DEPTH", "MOST", "decode", "encode"]
