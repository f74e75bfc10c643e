"""`make spectral`: linters of the npm world on the documents as a server serves them."""
