"""Several processes that serve one address, and the one that watches over them.

A supervisor starts the same command for each worker, and talks with it over a pair of sockets that nobody else has.
What they say is in `messages`. The pair is also how each learns that the other is dead, however it died: a worker
without a supervisor stops as it would if it were told to.
"""
