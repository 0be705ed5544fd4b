"""Contacts of depth electrodes, strips and grids: their names, and references between them."""
