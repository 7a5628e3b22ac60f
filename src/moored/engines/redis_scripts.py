"""The commands as Lua scripts: the rules of ``moored.model`` a second time, held equal by ``tests/engines``.

A record is a hash: ``v`` version, ``d`` tombstone, ``x`` expiry (milliseconds), ``o`` the
operations it remembers (``;id:version:answer`` each, oldest first; ``;!until!id`` where it
is remembered firmly), ``:name`` each field.
``x`` decides what has expired; the key's own expiry, the same instant, cleans up.

The scripts are flat (closures would triple their cost) and answer only what the caller lacks:
a word (``ok``, ``again``, ``hit``, ``corrupt`` or why it was refused), the server's clock in
microseconds, and what belongs to it.  Each checks everything before it writes anything.  The
first write of those that can free memory is one that does (DEL, HDEL): at ``maxmemory``
Redis refuses a script's first write, not those that follow.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Struct

from moored.commands import (
    LEASE_OWNER,
    LEASE_TOKEN,
    LEASE_UNTIL,
    Acquire,
    Add,
    Bury,
    Command,
    Drop,
    Patch,
    Put,
    Take,
)
from moored.model import HORIZON, KEPT, LIMIT, MARGIN, REMEMBERED, REPEATS

CHUNK = 4000  # values given to one HSET, HDEL or HMGET: Lua's `unpack` gives out at 8,000
SHORTEST = len(";a:1:")  # of what is remembered of one operation

CORRUPT = "return {'corrupt', micros}"
STANDS = "redis.call('HGETALL', key)"
NOT_A_NUMBER = "not string.find({}, '^%-?%d+$')"


def _opening(extra: str) -> str:
    """What all scripts begin with; ``extra`` is a field that this one needs at once.

    ARGV: operation id, since, until, again, then the command's own arguments from ARGV[5] on.
    """
    return f"""
local key, id, since = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)
local state = redis.call('HMGET', key, 'v', 'd', 'x', 'o', '{extra}')
local v, d, x, ops, extra = state[1], state[2], state[3], state[4] or '', state[5]
if not v then
  if redis.call('EXISTS', key) == 1 then {CORRUPT} end
elseif #v > 16 or string.find(v, '%D') or v == '' or (x and {NOT_A_NUMBER.format("x")})
  or (ops ~= '' and not string.find(ops, '^;[^;:]*:%d+:')) then
  {CORRUPT}
elseif x and tonumber(x) <= now then
  redis.call('DEL', key)
  v, d, x, ops, extra = false, false, false, '', false
end
local _, after = string.find(ops, ';' .. id .. ':', 1, true)
if not after then _, after = string.find(ops, '!' .. id .. ':', 1, true) end
if after then
  local made, small = string.match(ops, '^(%d+):([^;]*)', after + 1)
  if not made then {CORRUPT} end
  return {{'again', micros, made, small, {STANDS}}}
end
local remembered, repeats = 0, 0
if string.find(ops, '!', 1, true) then
  ops = string.gsub(ops, ';!(%d+)![^;]*', function(kept) if tonumber(kept) < micros then return '' end end)
  _, repeats = string.gsub(ops, ';!', ';!')
end
if #ops >= {REMEMBERED * SHORTEST} then
  _, remembered = string.gsub(ops, ';', ';')
  remembered = remembered - repeats
end
local oldest = tonumber(string.match(ops, ':(%d+)'))
local forgotten = since < micros - {HORIZON}
if ARGV[4] == '1' then
  forgotten = forgotten or repeats >= {REPEATS}
    or (remembered >= {REMEMBERED} and tonumber(string.match(ops, ';[^;!:]+:(%d+)')) > since)
end
if forgotten then return {{'unknown', micros, {STANDS}}} end
if micros > tonumber(ARGV[3]) then return {{'late', micros, {STANDS}}} end
local version = math.max((tonumber(v) or -1) + 1, micros)
local made = string.format('%.0f', version)
local i = 5
"""


# Follows once the command is certain and has set ``small``, its answer if it is repeated.
REMEMBER = f"""
while oldest and oldest < micros - {HORIZON} do
  if string.sub(ops, 2, 2) ~= '!' then remembered = remembered - 1 end
  ops = string.match(ops, '^;[^;]*(.*)$')
  oldest = tonumber(string.match(ops, ':(%d+)'))
end
local kept = ''
if ARGV[4] == '1' then
  kept = string.format('!%.0f!', ARGV[3] + {KEPT})
elseif remembered >= {REMEMBERED} then
  local first, last = string.find(ops, ';[^;!][^;]*')
  ops = string.sub(ops, 1, first - 1) .. string.sub(ops, last + 1)
end
ops = ops .. ';' .. kept .. id .. ':' .. made .. ':' .. small
"""

LEASED = f"""
  if extra and {NOT_A_NUMBER.format("extra")} then {CORRUPT} end
  if extra and tonumber(extra) > now then return {{'held', micros, {STANDS}}} end
"""

VERSION = f"""
if ARGV[i] ~= '' and tonumber(ARGV[i]) ~= (tonumber(v) or 0) then return {{'version', micros, {STANDS}}} end
i = i + 1
"""

# Arguments: how many, for each "-" (must be absent) or "=", the names, the values.
MATCH = f"""
local count, signs = tonumber(ARGV[i]), ARGV[i + 1]
i = i + 2
for first = i, i + count - 1, {CHUNK} do
  local last = math.min(first + {CHUNK - 1}, i + count - 1)
  local held = redis.call('HMGET', key, unpack(ARGV, first, last))
  for at = first, last do
    local value = held[at - first + 1]
    if string.byte(signs, at - i + 1) == 45 then
      if value then return {{'match', micros, {STANDS}}} end
    elseif value ~= ARGV[at + count] then
      return {{'match', micros, {STANDS}}}
    end
  end
end
i = i + 2 * count
"""

# Fields are the rest of ARGV, so they need not be copied: what else is written is put behind them.
WRITE = f"""
local n = #ARGV
ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4] = 'v', made, 'o', ops
if expires then ARGV[n + 5], ARGV[n + 6] = 'x', expires end
for first = i, #ARGV, {CHUNK} do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + {CHUNK - 1}, #ARGV)))
end
if expires then redis.call('PEXPIREAT', key, expires) end
"""

# Arguments from ARGV[i] to ARGV[last]: names and milliseconds from now.
STAMP = """
for at = i, last, 2 do
  ARGV[#ARGV + 1] = ARGV[at]
  ARGV[#ARGV + 1] = string.format('%.0f', now + ARGV[at + 1])
end
i = last + 1
"""

PUT = f"""
if d then return {{'dead', micros, {STANDS}}} end
if v and ARGV[i] ~= '' and ARGV[i] ~= '0' then {LEASED} end
{VERSION}
local small, expires = '', ARGV[i] ~= '' and now + ARGV[i]
local last = i + 1 + 2 * ARGV[i + 1]
i = i + 2
{STAMP}
{REMEMBER}
if v then redis.call('DEL', key) end
{WRITE}
return {{'ok', micros, version}}
"""

PATCH = f"""
if not v then return {{'missing', micros}} end
if d then return {{'dead', micros, {STANDS}}} end
if ARGV[i] == '' then {LEASED} end
i = i + 1
{VERSION}
{MATCH}
local small, ttl, within, name, number, equal, unsets, stamps = '', unpack(ARGV, i, i + 6)
i = i + 7
if name ~= '' then
  local current = redis.call('HGET', key, name) or '-1'
  if {NOT_A_NUMBER.format("current")} then {CORRUPT} end
  current = tonumber(current)
  if current > tonumber(number) or (current == tonumber(number) and equal == '0') then
    return {{'stale', micros, {STANDS}}}
  end
  ARGV[#ARGV + 1], ARGV[#ARGV + 2] = name, number
end
local expires = ttl ~= '' and now + ttl
if expires and within ~= '' then
  local sort, cap = string.sub(within, 1, 1), string.sub(within, 2)
  if sort == ':' then cap = redis.call('HGET', key, within) end
  if cap and {NOT_A_NUMBER.format("cap")} then {CORRUPT} end
  if cap then expires = math.min(expires, sort == '+' and now + cap or tonumber(cap)) end
end
for first = i, i + unsets - 1, {CHUNK} do
  redis.call('HDEL', key, unpack(ARGV, first, math.min(first + {CHUNK - 1}, i + unsets - 1)))
end
i = i + unsets
local last = i + 2 * stamps - 1
{STAMP}
{REMEMBER}
{WRITE}
return {{'ok', micros, version}}
"""

BURY = f"""
{VERSION}
{MATCH}
local small = (v and not d) and '1' or '0'
local expires = now + ARGV[i]
i = i + 1
{REMEMBER}
redis.call('DEL', key)
ARGV[#ARGV + 1], ARGV[#ARGV + 2] = 'd', '1'
{WRITE}
return {{'ok', micros, tonumber(small)}}
"""

DROP = f"""
if not v or d then return {{'ok', micros, 0}} end
{VERSION}
{MATCH}
return {{'ok', micros, redis.call('DEL', key)}}
"""

# The limit is compared with what is left up to it: beyond it, doubles no longer count exactly.
ADD = f"""
if d then return {{'dead', micros, {STANDS}}} end
if extra and {NOT_A_NUMBER.format("extra")} then {CORRUPT} end
local n, by, low, high, ttl = tonumber(extra or '0'), unpack(ARGV, i, i + 3)
by = tonumber(by)
local total = n + by
if (by >= 0 and n > {LIMIT} - by) or (by < 0 and n < -{LIMIT} - by) or total > {LIMIT} or total < -{LIMIT}
  or (low ~= '' and total < tonumber(low)) or (high ~= '' and total > tonumber(high)) then
  return {{'bounds', micros, {STANDS}}}
end
local small, expires = string.format('%.0f', total), not v and ttl ~= '' and now + ttl
i = i + 4
{REMEMBER}
ARGV[#ARGV + 1], ARGV[#ARGV + 2] = ':n', small
{WRITE}
return {{'ok', micros, total}}
"""

TAKE = f"""
if d then return {{'dead', micros, {STANDS}}} end
local cost, wait, left, spare, latest, full = tonumber(ARGV[i]), 0, math.huge, math.huge, 0, {{}}
for at = i + 1, #ARGV, 2 do
  local interval, depth = tonumber(ARGV[at]), ARGV[at] * ARGV[at + 1]
  local name = ':t' .. ARGV[at]
  local start = redis.call('HGET', key, name) or '0'
  if {NOT_A_NUMBER.format("start")} then {CORRUPT} end
  start = math.max(tonumber(start), micros)
  local ends = math.max(start + cost * interval, micros)
  left = math.min(left, math.floor((depth - ends + micros) / interval))
  spare = math.min(spare, math.floor((depth - start + micros) / interval))
  wait, latest = math.max(wait, ends - micros - depth), math.max(latest, ends)
  full[#full + 1] = name
  full[#full + 1] = string.format('%.0f', ends)
end
if wait > 0 then return {{'ok', micros, 0, math.max(spare, 0), wait}} end
local small, expires = string.format('%.0f', left), math.ceil(latest / 1000)
{REMEMBER}
redis.call('DEL', key)
redis.call('HSET', key, 'v', made, 'o', ops, 'x', expires, unpack(full))
redis.call('PEXPIREAT', key, expires)
return {{'ok', micros, 1, left, 0}}
"""

ACQUIRE = f"""
local owner, ttl, unless, existing = unpack(ARGV, i, i + 3)
if not v and existing == '1' then return {{'missing', micros}} end
if d then return {{'dead', micros, {STANDS}}} end
if v and unless ~= '' and redis.call('HEXISTS', key, unless) == 1 then return {{'hit', micros, {STANDS}}} end
{LEASED}
local small, till, expires = '', string.format('%.0f', now + ttl), false
if (not v or x) and existing == '0' then expires = math.max(now + ttl + {MARGIN}, tonumber(x) or 0) end
{REMEMBER}
redis.call('HSET', key, 'v', made, 'o', ops, ':{LEASE_OWNER}', owner, ':{LEASE_UNTIL}', till,
  ':{LEASE_TOKEN}', made)
if expires then
  redis.call('HSET', key, 'x', expires)
  redis.call('PEXPIREAT', key, expires)
end
return {{'ok', micros, version, tonumber(till)}}
"""

_TEXTS: dict[type[Command[Any]], tuple[str, str]] = {
    Put: (f":{LEASE_UNTIL}", PUT),
    Patch: (f":{LEASE_UNTIL}", PATCH),
    Bury: ("v", BURY),
    Drop: ("v", DROP),
    Add: (":n", ADD),
    Take: ("v", TAKE),
    Acquire: (f":{LEASE_UNTIL}", ACQUIRE),
}


class Script(Struct, frozen=True):
    """A script and the name under which the server knows it, once it was loaded."""

    text: str
    sha: str


def scripts(clock: str = "redis.call('TIME')") -> dict[type[Command[Any]], Script]:
    """A script for each command; ``clock`` is the Lua expression for TIME's reply."""
    texts = {
        kind: (_opening(extra) + body).replace("redis.call('TIME')", clock)
        for kind, (extra, body) in _TEXTS.items()
    }
    return {
        kind: Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
        for kind, text in texts.items()
    }
