-- Puts the record ARGV[2] in the place of ARGV[1] and says so to all nodes.
local present = redis.call('HGET', KEYS[1], 'r')
if not present then
  return 0
end
if present ~= ARGV[1] and present ~= ARGV[2] then
  return -1
end
redis.call('HSET', KEYS[1], 'r', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
