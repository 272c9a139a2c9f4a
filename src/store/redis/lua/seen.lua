-- Notes when a session was last seen: behind 23 characters of seal stands the time. 0 if there is no
-- such session any more.
if redis.call('HEXISTS', KEYS[1], 'r') == 0 then
  return 0
end
local known = redis.call('HGET', KEYS[1], 's')
local time = tonumber(string.sub(ARGV[1], 24))
if known and (tonumber(string.sub(known, 24)) or 0) >= time then
  return 1
end
redis.call('HSET', KEYS[1], 's', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
