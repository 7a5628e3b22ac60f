"""For the tests of Moored, and of applications that use it.

``moored.testing.servers`` starts real Redis servers on free loopback ports,
``moored.testing.faults`` stands between a client and a server and loses answers on purpose,
``moored.testing.plugin`` has the pytest fixtures.  Of the rest of Moored
only ``moored prove`` imports anything from here: it starts a Redis of its own.
"""
