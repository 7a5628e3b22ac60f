"""Engines: where state is kept.  Each carries out commands exactly as ``moored.model`` says."""
