-- Keeps ARGV[2] for the page ARGV[1] of a browser, whose requests go together after ARGV[3] ms.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
