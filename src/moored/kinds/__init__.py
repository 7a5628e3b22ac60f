"""Kinds of state: each a module of programs, and a handle that carries them out."""
