"""What the proxy does for either API: place, write by quorum, read the newest, list, copy."""
