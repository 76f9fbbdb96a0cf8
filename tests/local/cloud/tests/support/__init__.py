"""Helpers that several tests share. The fixtures are in conftest.py."""
