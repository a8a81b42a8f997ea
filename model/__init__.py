"""The words every layer speaks: names, versions, manifests, listings, errors. Imports nothing of ours."""
