"""The Swift API: accounts, containers, objects, large objects and TempAuth."""
