"""`make spectral`: linters of the npm world on the documents as a server serves them.

Map:
__main__.py    serves the documents, runs the linters
package.json   Spectral, its rules of OWASP, AsyncAPI's parser
oas.yaml       Spectral's rules for OpenAPI
owasp.yaml     OWASP's rules, and why some are off
owasp-v1.yaml  the same for version 1
feed.mjs       AsyncAPI's parser on the document of the feed
"""
