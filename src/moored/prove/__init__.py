"""``moored prove``: one shop, its sessions kept in several ways, and a count of what each way keeps.

``shop.py`` is the application, ``sides.py`` the ways to keep its sessions, ``scenes.py`` what
happens to it, ``proof.py`` runs it all.  ``docs/prove.md`` says what is run, and how.
"""
