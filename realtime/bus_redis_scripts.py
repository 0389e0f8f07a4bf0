"""What Redis does in one step: Lua for Redis 6.2 and later. The keys of a stream share one hash slot, so this runs in a
cluster too.

KEYS: meta, history, and the two generations of the memory of revisions. ARGV 1-5: the feed's channel, identity of the
database ("" when the caller may not judge it), an epoch to use if a new one is needed, seconds a revision is
remembered, what the caller knows of the highest revision ("" nothing, "0" forget it).

meta is a hash: epoch, offset, run (Redis' run_id: another one may have lost its newest changes), base (identity of the
database), turn and since (generation and its start), top (highest revision published), size (bytes of the history). An
entry of the history is "offset body".
"""

# Times come from Redis' own clock: a jump forwards only makes publishers read again, a jump backwards only remembers
# longer.
_OPEN = """
local meta, history = KEYS[1], KEYS[2]
local channel, base, fresh, memory = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local s = {}

local function renew(top)
  redis.call('DEL', history, KEYS[3], KEYS[4])
  s = {epoch = fresh, offset = 0, turn = 0, top = top, size = 0}
  redis.call('HSET', meta, 'epoch', fresh, 'offset', 0, 'run', run, 'base', base,
    'turn', 0, 'since', string.format('%.3f', now), 'top', string.format('%.0f', top), 'size', 0)
  redis.call('PUBLISH', channel, fresh .. ' 0 ')
end

local function open()
  local m = redis.call('HMGET', meta, 'epoch', 'offset', 'run', 'base', 'turn', 'since', 'top', 'size')
  local top = tonumber(m[7] or '') or 0
  if base == '' then base = m[4] or '' elseif m[4] and m[4] ~= '' and m[4] ~= base then top = 0; m[1] = false end
  if m[4] == '' and base ~= '' then redis.call('HSET', meta, 'base', base) end
  for i = 1, 8 do if not m[i] then return renew(top) end end
  -- What is no number there was written by somebody else.
  for _, i in ipairs({2, 5, 6, 8}) do if not tonumber(m[i]) then return renew(top) end end
  if m[3] ~= run then return renew(top) end
  s = {epoch = m[1], offset = tonumber(m[2]), turn = tonumber(m[5]), top = top, size = tonumber(m[8])}
  local since = tonumber(m[6])
  local turns = math.floor((now - since) / memory)
  if turns > 0 then
    redis.call('DEL', KEYS[3 + (s.turn + 1) % 2])
    if turns > 1 then redis.call('DEL', KEYS[3 + s.turn % 2]) end
    s.turn = s.turn + turns
    redis.call('HSET', meta, 'turn', s.turn, 'since', string.format('%.3f', since + turns * memory))
  end
end

local function fence() return {s.epoch, s.turn, s.offset, string.format('%.0f', s.top)} end
"""

# For readers and for fences: where the stream is.
HEAD = (
    _OPEN
    + """
open()
return fence()
"""
)

RENEW = (
    _OPEN
    + """
local top = 0
if ARGV[5] == '' then top = tonumber(redis.call('HGET', meta, 'top') or '') or 0 end
if base == '' then base = redis.call('HGET', meta, 'base') or '' end
renew(top)
return fence()
"""
)

# ARGV 5: the newest offset asked for is after this one. Entries carry their offsets, so the reader sees where they
# begin.
HISTORY = (
    _OPEN
    + """
open()
local missed = s.offset - tonumber(ARGV[5])
if missed <= 0 then return {s.epoch, s.offset, {}} end
return {s.epoch, s.offset, redis.call('LRANGE', history, -missed, -1)}
"""
)

# ARGV 5-7: the caller's fence (epoch "-": none, judge nothing), 8-10: the limits of the history, from 11: key,
# revision, body of each item.
#
# The order of writing matters, because Redis does not roll back: the history before the offset (an entry above the
# offset is ignored, a hole would be silence), the offset before the memory of revisions (the other way round a retry
# would be refused and the change lost), the messages last (readers compare heads). The first write is one that Redis
# refuses when its memory is full; after it none is refused.
PUBLISH = (
    _OPEN
    + """
open()
if ARGV[5] ~= '-' then
  if ARGV[5] == s.epoch and s.offset < tonumber(ARGV[7]) then renew(s.top) end
  if ARGV[5] ~= s.epoch or s.turn - tonumber(ARGV[6]) > 1 then return {fence(), false} end
end
local newer, older = KEYS[3 + s.turn % 2], KEYS[3 + (s.turn + 1) % 2]
local keys = {}
for i = 11, #ARGV, 3 do keys[#keys + 1] = ARGV[i] end
local seen, before = redis.call('HMGET', newer, unpack(keys)), redis.call('HMGET', older, unpack(keys))
local published, entries, memories, newest = {}, {}, {}, {}
if redis.call('EXISTS', history) == 0 then s.size = 0 end
for n, key in ipairs(keys) do
  local revision = tonumber(ARGV[9 + 3 * n])
  local known = newest[key] or tonumber(seen[n] or before[n] or '') or 0
  if revision <= known then
    published[n] = 0
  else
    published[n] = 1
    newest[key] = revision
    s.offset = s.offset + 1
    entries[#entries + 1] = string.format('%.0f ', s.offset) .. ARGV[10 + 3 * n]
    memories[#memories + 1] = key
    memories[#memories + 1] = ARGV[9 + 3 * n]
    s.size = s.size + #entries[#entries]
    if revision > s.top then s.top = revision end
  end
end
if #entries == 0 then return {fence(), published} end
local count = redis.call('RPUSH', history, unpack(entries))
while count > tonumber(ARGV[8]) or (count > 0 and s.size > tonumber(ARGV[9])) do
  s.size = s.size - #redis.call('LPOP', history)
  count = count - 1
end
redis.call('HSET', meta, 'offset', s.offset, 'top', string.format('%.0f', s.top), 'size', s.size)
redis.call('HSET', newer, unpack(memories))
redis.call('PEXPIRE', history, ARGV[10])
redis.call('EXPIRE', newer, math.ceil(2 * memory) + 60)
for _, entry in ipairs(entries) do redis.call('PUBLISH', channel, s.epoch .. ' ' .. entry) end
return {fence(), published}
"""
)
