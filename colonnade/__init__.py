"""The application root: command line and supervisor that start a whole colony's processes."""
