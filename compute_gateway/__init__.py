"""Boots guests from images kept in the store; a client of the public API."""
