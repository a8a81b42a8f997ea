"""Large objects: static (SLO) and dynamic (DLO)."""
