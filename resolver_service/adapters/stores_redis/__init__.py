"""What several resolvers have in common, in a Redis 7 or Valkey 8 server.

Each resolver has all of it in memory, so that a resolve looks nothing up. What no two may have, turns and probes, is
taken from the server in one step for all that is asked at a time. What changes is merged there and told to the others;
who missed something notices by a number that goes up with each change, and reads everything anew.
"""
