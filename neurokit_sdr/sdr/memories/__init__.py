"""Memories to compare with."""
