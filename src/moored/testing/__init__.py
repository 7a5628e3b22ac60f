"""For the tests of Moored, and of applications that use it.

``moored.testing.servers`` starts real servers on free loopback ports,
``moored.testing.faults`` stands between a client and a server and loses answers on
purpose, ``moored.testing.plugin`` has the pytest fixtures.  Nothing here is imported by
the rest of Moored.
"""
