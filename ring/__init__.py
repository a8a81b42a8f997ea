"""Where objects live: the placement ring of a colony, its file format and `ringctl`."""
