"""One module for each verb of the Swift API."""
