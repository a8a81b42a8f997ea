"""One suite per protocol, run against everything that implements it."""
