-- Remembers until ARGV[2], unless it is remembered at ARGV[1] already.
local known = redis.call('GET', KEYS[1])
if known and (tonumber(known) or 0) > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
