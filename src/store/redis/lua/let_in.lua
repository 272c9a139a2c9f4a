-- Lets a session in for ARGV[1] ms, if it has not been ended meanwhile.
if redis.call('HEXISTS', KEYS[1], 'r') == 0 then
  return 0
end
redis.call('HDEL', KEYS[1], 'p')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
