"""Who asks: signatures, tokens and the checksums that bodies carry."""
