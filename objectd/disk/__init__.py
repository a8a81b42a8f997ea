"""The store on a disk: append volumes, large files, the index over both, and all that keeps them whole."""
