"""The object daemon: the only owner of its devices, their volumes, large files, index and change log."""
