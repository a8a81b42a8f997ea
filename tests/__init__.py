"""The tests of the whole tree; each kind in its folder."""
