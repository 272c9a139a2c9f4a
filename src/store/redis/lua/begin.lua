-- Writes a session down: its record, when it was last seen, and, if it is not let in yet, that.
redis.call('HSET', KEYS[1], 'r', ARGV[1], 's', ARGV[2])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'p', ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
