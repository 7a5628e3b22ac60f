"""Sessions that another library keeps: read, replaced and marked where they are.

Places (``place.py``) are input, output and formats only.  When a session is carried over to
Moored, and what becomes of the old one, is decided elsewhere.
"""
